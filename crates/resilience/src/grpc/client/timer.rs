//! The one timer of a call.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep};

use crate::core::clock::{Clock, Time};

/// Is made when the call first has to wait, and moved to whatever comes next from then
/// on: a call that is answered at once has none, and one that waits for several things
/// in turn has one.
#[derive(Debug, Default)]
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    at: Time,
}

impl Timer {
    /// Ready when `clock` says `at`. Only the last one to ask is woken.
    pub(super) fn poll(&mut self, at: Time, clock: &dyn Clock, cx: &mut Context<'_>) -> Poll<()> {
        if self.sleep.is_none() || self.at != at {
            let left = at.since(clock.now());
            if left.is_zero() {
                return Poll::Ready(());
            }
            self.set(Instant::now() + left);
            self.at = at;
        }
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().poll(cx),
            None => Poll::Ready(()),
        }
    }

    fn set(&mut self, deadline: Instant) {
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(deadline),
            None => self.sleep = Some(Box::pin(tokio::time::sleep_until(deadline))),
        }
    }
}
