//! A future in a scope.

use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::Scope;

pin_project! {
    /// Is polled, and dropped, in a scope.
    #[derive(Debug)]
    #[project = Projected]
    #[must_use = "futures do nothing unless they are polled"]
    pub struct Scoped<F> {
        // `None` once it is done.
        #[pin]
        future: Option<F>,
        scope: Scope,
    }

    impl<F> PinnedDrop for Scoped<F> {
        fn drop(this: Pin<&mut Self>) {
            this.project().end();
        }
    }
}

impl<F> Scoped<F> {
    pub(super) fn new(scope: Scope, future: F) -> Self {
        Self { future: Some(future), scope }
    }
}

impl<F> Projected<'_, F> {
    /// What is left of a call may tell of its end.
    fn end(&mut self) {
        if self.future.is_some() {
            let _entered = self.scope.enter();
            self.future.set(None);
        }
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    /// Panics if it is polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let future = this.future.as_mut().as_pin_mut();
        let future = future.expect("it is not polled again once it is ready");
        let _entered = this.scope.enter();
        let polled = future.poll(cx);
        if polled.is_ready() {
            this.future.set(None);
        }
        polled
    }
}
