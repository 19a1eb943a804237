//! The right to make one call.

use std::borrow::Borrow;
use std::time::Duration;

use super::{Admission, Breaker};
use crate::core::clock::Time;
use crate::core::outcome::Verdict;

/// A permit that borrows its breaker.
pub type Permit<'a> = Held<&'a Breaker>;

/// A permit that keeps its breaker alive.
pub type OwnedPermit = Held<Breaker>;

/// The right to make one call, and the duty to say how it went.
///
/// When it is dropped, the call was cancelled: that says nothing if it was soon, and
/// counts as a timeout if it was late. If the thread panics meanwhile, the call
/// failed.
#[derive(Debug)]
#[must_use = "a permit that is dropped is a cancelled call"]
pub struct Held<B: Borrow<Breaker>> {
    breaker: B,
    admission: Option<Admission>,
}

impl<B: Borrow<Breaker>> Held<B> {
    #[inline]
    pub(super) fn new(breaker: B, admission: Admission) -> Self {
        Self { breaker, admission: Some(admission) }
    }

    /// From when on this call is slow, instead of [`Settings::slow`](super::Settings):
    /// calls of different methods may differ in what they need.
    #[inline]
    pub fn slow_after(mut self, slow: Option<Duration>) -> Self {
        self.admission = self.admission.take().map(|admission| admission.slow_after(slow));
        self
    }

    #[cfg(test)]
    pub(super) fn probe_of(&self) -> Option<u64> {
        self.admission.as_ref().and_then(Admission::probe_of)
    }

    /// The end of the call.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "else the permit goes through memory")]
    pub fn record(mut self, verdict: &Verdict, now: Time) {
        // By reference, for the same reason.
        if let Some(admission) = &self.admission {
            self.breaker.borrow().settled(admission, verdict, now);
        }
        self.admission = None;
    }
}

impl<B: Borrow<Breaker>> Drop for Held<B> {
    #[inline]
    fn drop(&mut self) {
        if let Some(admission) = self.admission.take() {
            let breaker = self.breaker.borrow();
            breaker.cancel(admission, breaker.now());
        }
    }
}
