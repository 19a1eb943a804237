//! A unit of work, with what the database reported to it.

use std::pin::Pin;
use std::task::{Context, Poll};

use crate::answer::{self, Answer};

/// Notes the fault that storage had in a unit, whose own error may not say so.
pub(super) struct Watched<F> {
    unit: Pin<Box<F>>,
    fault: Option<&'static str>,
}

impl<F> Watched<F> {
    pub(super) fn new(unit: F) -> Self {
        Self { unit: Box::pin(unit), fault: None }
    }
}

impl<T, E, F: Future<Output = Result<T, E>>> Future for Watched<F> {
    type Output = Answer<T, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer<T, E>> {
        // Others ran on this thread meanwhile.
        answer::forget();
        let polled = self.unit.as_mut().poll(context);
        self.fault = answer::noted().or(self.fault);
        polled.map(|result| {
            let fault = if result.is_ok() { None } else { self.fault };
            Answer { result, fault }
        })
    }
}
