//! How much may pass after the breaker closed.

use std::time::Duration;

use super::rules::FIRST_SHARE;

/// Holds the calls against the rate that the peer had before it failed.
///
/// A share of the calls alone would refuse nearly all of a load that has fallen to a
/// tenth, although the peer would hardly notice it. So whoever is not drawn passes too,
/// as long as the admitted calls are fewer than the same share of the rate before.
#[derive(Debug, Default)]
pub(super) struct Ramp {
    /// Calls a second: the highest of the trips in a row. Zero if it is not known.
    before: f64,
    /// Calls since it closed, or more if that were too few.
    admitted: f64,
}

/// What is not used up for so long is lost, so that no burst is saved up.
const SAVED: Duration = Duration::from_secs(1);

impl Ramp {
    /// The breaker opens after it had so many calls a second.
    pub(super) fn note(&mut self, rate: f64) {
        self.before = self.before.max(rate);
    }

    /// The breaker closes.
    pub(super) fn begin(&mut self) {
        self.admitted = 0.0;
    }

    /// Whether a call passes, which it does if it `is_drawn` by its share.
    pub(super) fn admits(&mut self, is_drawn: bool, closed_for: Duration, ramp: Duration) -> bool {
        let lost = self.allowance(closed_for.saturating_sub(SAVED), ramp);
        self.admitted = self.admitted.max(lost);
        let passes = is_drawn || self.admitted + 1.0 <= self.allowance(closed_for, ramp);
        if passes {
            self.admitted += 1.0;
        }
        passes
    }

    /// The calls that a load as before would have had admitted by then: the share, which
    /// grows in a straight line, summed over the time.
    fn allowance(&self, closed_for: Duration, ramp: Duration) -> f64 {
        let (passed, all) = (closed_for.as_secs_f64(), ramp.as_secs_f64());
        self.before * passed * (FIRST_SHARE + (1.0 - FIRST_SHARE) * passed / (2.0 * all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAMP: Duration = Duration::from_secs(5);

    /// The calls of those that come so many a second which pass in each second of the
    /// ramp, without any luck.
    fn passing(ramp: &mut Ramp, per_second: u32) -> [u32; 5] {
        std::array::from_fn(|second| {
            let calls = (1..=per_second).filter(|call| {
                let part = f64::from(*call) / f64::from(per_second);
                let at = Duration::from_secs(second as u64) + Duration::from_secs_f64(part);
                ramp.admits(false, at, RAMP)
            });
            u32::try_from(calls.count()).expect("it is no more than there were")
        })
    }

    #[test]
    fn the_rate_before_grows_from_a_tenth_to_all() {
        let mut ramp = Ramp::default();
        ramp.note(1_000.0);
        let passed = passing(&mut ramp, 1_000);
        for (count, expected) in passed.into_iter().zip([190_u32, 370, 550, 730, 910]) {
            assert!(count.abs_diff(expected) <= 1, "{passed:?}");
        }
    }

    #[test]
    fn a_load_that_has_fallen_to_a_fifth_passes_from_the_second_second_on() {
        let mut ramp = Ramp::default();
        ramp.note(40.0);
        let passed = passing(&mut ramp, 8);
        assert_eq!(passed[1..], [8; 4], "{passed:?}");
    }

    #[test]
    fn nothing_is_saved_up_while_nobody_calls() {
        let mut ramp = Ramp::default();
        ramp.note(100.0);
        let burst = (0..1_000).filter(|_| ramp.admits(false, RAMP, RAMP)).count();
        assert!((89..=92).contains(&burst), "{burst} at once, of a hundred a second");
    }

    #[test]
    fn the_highest_rate_of_several_trips_counts() {
        let mut ramp = Ramp::default();
        ramp.note(40.0);
        ramp.note(2.0);
        ramp.begin();
        assert_eq!(passing(&mut ramp, 8)[4], 8);
    }

    #[test]
    fn without_a_rate_only_the_drawn_pass() {
        let mut ramp = Ramp::default();
        assert_eq!(passing(&mut ramp, 100), [0; 5]);
        assert!(ramp.admits(true, Duration::ZERO, RAMP));
    }
}
