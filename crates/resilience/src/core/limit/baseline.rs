//! The latency without a queue.
//!
//! It is the one thing that all depends on, and in an overloaded system it cannot be
//! seen: whoever takes the latency of now for it lets the limit grow for ever. So it is
//! raised only by measurements for which room was made, and by more than a fifth only
//! if two in a row agree.

use std::time::Duration;

/// Two measurements of the same latency may differ by that share.
const NOISE: f64 = 0.2;
/// So much of the way to a lower latency is gone in one window.
const LOWERING: f64 = 0.25;

#[derive(Debug, Default)]
pub(super) struct Baseline {
    latency: Option<Duration>,
    /// What the last measurement found, if it was a raise.
    raise: Option<Duration>,
    is_falling: bool,
}

impl Baseline {
    pub(super) fn latency(&self) -> Option<Duration> {
        self.latency
    }

    /// Whether the last measurement found more than was known, which needs another.
    pub(super) fn is_disputed(&self) -> bool {
        self.raise.is_some()
    }

    /// Whether the last measurement found less than was known: there was a queue the
    /// time before, and maybe there still is one.
    pub(super) fn is_falling(&self) -> bool {
        self.is_falling
    }

    /// An ordinary window had `latency`. What is faster than was thought possible is
    /// believed step by step, since it may be that only the easy calls came.
    pub(super) fn see(&mut self, latency: Duration) {
        let old = self.latency.unwrap_or(latency);
        let is_lower = latency < old.mul_f64(1.0 - NOISE);
        self.latency = Some(if is_lower { between(old, latency, LOWERING) } else { old });
    }

    /// With room made for it, calls took `latency`.
    pub(super) fn measure(&mut self, latency: Duration) {
        let old = self.latency.unwrap_or(latency);
        let raise = self.raise.take();
        self.is_falling = latency < old.mul_f64(1.0 - NOISE / 2.0);
        if old.mul_f64(1.0 + NOISE) < latency {
            match raise {
                None => self.raise = Some(latency),
                Some(before) => self.latency = Some(latency.min(before)),
            }
        } else if latency < old.mul_f64(1.0 - NOISE) {
            self.latency = Some(latency);
        } else {
            self.latency = Some(between(old, latency, 0.5));
        }
    }
}

/// The share of the way from one latency to another.
fn between(from: Duration, to: Duration, share: f64) -> Duration {
    from.mul_f64(1.0 - share) + to.mul_f64(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn of(latency: Duration) -> Baseline {
        Baseline { latency: Some(latency), ..Baseline::default() }
    }

    #[test]
    fn ordinary_windows_never_raise_it() {
        let mut baseline = Baseline::default();
        baseline.see(100 * MS);

        for millis in 100..1000 {
            baseline.see(millis * MS);
        }

        assert_eq!(baseline.latency(), Some(100 * MS));
    }

    #[test]
    fn what_is_faster_is_believed_step_by_step() {
        let mut baseline = of(100 * MS);

        baseline.see(81 * MS);
        assert_eq!(baseline.latency(), Some(100 * MS), "that may be noise");
        baseline.see(20 * MS);
        assert_eq!(baseline.latency(), Some(80 * MS));
    }

    #[test]
    fn a_raise_has_to_be_measured_twice() {
        let mut baseline = of(100 * MS);

        baseline.measure(300 * MS);
        assert_eq!((baseline.latency(), baseline.is_disputed()), (Some(100 * MS), true));
        baseline.measure(200 * MS);
        assert_eq!((baseline.latency(), baseline.is_disputed()), (Some(200 * MS), false));
    }

    #[test]
    fn a_raise_that_is_not_confirmed_is_forgotten() {
        let mut baseline = of(100 * MS);

        baseline.measure(300 * MS);
        baseline.measure(100 * MS);
        baseline.measure(300 * MS);

        assert_eq!(baseline.latency(), Some(100 * MS));
    }

    #[test]
    fn a_fall_is_believed_at_once_and_asks_for_more() {
        let mut baseline = of(100 * MS);

        baseline.measure(50 * MS);
        assert_eq!((baseline.latency(), baseline.is_falling()), (Some(50 * MS), true));
        baseline.measure(50 * MS);
        assert!(!baseline.is_falling());
    }

    #[test]
    fn small_differences_are_averaged() {
        let mut baseline = of(100 * MS);

        baseline.measure(110 * MS);

        assert_eq!(baseline.latency(), Some(105 * MS));
    }
}
