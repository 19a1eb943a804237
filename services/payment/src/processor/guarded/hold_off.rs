//! A processor's own word about when to call it again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use trellis_resilience::clock::Time;

/// Until when the processor asked not to be called (`Retry-After`).
///
/// The breaker hears of it too, but is not open after a single such answer. It is kept
/// here and not handed on to who called: there it would hold back every operation.
#[derive(Debug)]
pub(super) struct HoldOff {
    /// It is never longer: what a processor says in passing must not stop a shop.
    longest: Duration,
    until: AtomicU64,
}

impl HoldOff {
    pub(super) fn new(longest: Duration) -> Self {
        Self { longest, until: AtomicU64::new(0) }
    }

    /// Of several words the one that asks for the longest holds.
    pub(super) fn begin(&self, now: Time, wait: Duration) {
        let until = now + wait.min(self.longest);
        // It guards nothing but itself.
        self.until.fetch_max(until.as_nanos(), Ordering::Relaxed);
    }

    /// How much of it is left, if any.
    pub(super) fn left(&self, now: Time) -> Option<Duration> {
        let left = Time::from_nanos(self.until.load(Ordering::Relaxed)).since(now);
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_longest_wish_holds_and_none_holds_for_ever() {
        let hold_off = HoldOff::new(10 * SECOND);
        let now = Time::from_nanos(5);
        assert_eq!(hold_off.left(now), None);

        hold_off.begin(now, 3 * SECOND);
        hold_off.begin(now, SECOND);
        assert_eq!(hold_off.left(now + SECOND), Some(2 * SECOND));
        assert_eq!(hold_off.left(now + 3 * SECOND), None);

        hold_off.begin(now, Duration::MAX);
        assert_eq!(hold_off.left(now), Some(10 * SECOND));
    }
}
