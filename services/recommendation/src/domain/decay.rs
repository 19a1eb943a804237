//! Exponential decay without a rescan: instead of the old growing lighter, the
//! new weigh more ("Forward Decay", Cormode, Shkapenyuk, Srivastava and Xu,
//! ICDE 2009).
//!
//! Weights are dyadic: a power of two times a number of 16 bits. So they add up
//! without rounding for as long as what is added lies some forty half-lives
//! together, and the order in which things are learned changes no sum.

use time::{Duration, OffsetDateTime};

/// Bits behind the point of a weight's fraction: an error of 0.001 %.
const PRECISION: f64 = 65_536.0;
/// How many half-lives weights may grow before all are scaled down; a double
/// overflows at 1,024.
const HEADROOM: i64 = 512;

/// Weighs events so that one weighs half as much as another that comes a
/// half-life later.
#[derive(Clone, Debug)]
pub(super) struct Decay {
    /// In seconds.
    half_life: i64,
    /// What weighs 1, in half-lives since 1970; set by the first event.
    landmark: Option<i64>,
}

/// What an event weighs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Weight {
    pub(super) value: f64,
    /// What all earlier weights must be multiplied by first: the landmark moved.
    /// A power of two, so nothing is rounded.
    pub(super) rescale: Option<f64>,
}

impl Decay {
    pub(super) fn new(half_life: Duration) -> Self {
        Self { half_life: half_life.whole_seconds().max(1), landmark: None }
    }

    pub(super) fn weigh(&mut self, time: OffsetDateTime) -> Weight {
        let seconds = time.unix_timestamp();
        let halves = seconds.div_euclid(self.half_life);
        let landmark = *self.landmark.get_or_insert(halves);
        let age = halves - landmark;
        let fraction = self.fraction(seconds);
        if age <= HEADROOM {
            return Weight { value: fraction * power_of_two(age), rescale: None };
        }
        self.landmark = Some(halves);
        Weight { value: fraction, rescale: Some(power_of_two(-age)) }
    }

    /// What the part of a half-life that has passed weighs, 1 to 2.
    fn fraction(&self, seconds: i64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a half-life in seconds has fewer bits")]
        let part = seconds.rem_euclid(self.half_life) as f64 / self.half_life as f64;
        (part.exp2() * PRECISION).round() / PRECISION
    }
}

/// 2 to the `exponent`, exactly; 0 where a double would lose precision.
fn power_of_two(exponent: i64) -> f64 {
    let biased = (exponent + 1_023).clamp(0, 2_046);
    f64::from_bits(biased.unsigned_abs() << 52)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "weights are exact")]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    const MONDAY: OffsetDateTime = datetime!(2026-11-23 09:41:17 UTC);

    proptest! {
        #[test]
        fn a_weight_halves_with_each_half_life(seconds in 0_i64..200_000_000, days in 1_i64..400) {
            let mut decay = Decay::new(Duration::days(days));
            let time = MONDAY + Duration::seconds(seconds);

            let older = decay.weigh(time);
            let newer = decay.weigh(time + Duration::days(days));

            prop_assert_eq!(newer.value, older.value * 2.0);
        }

        #[test]
        fn what_is_later_never_weighs_less(first in 0_i64..10_000_000, later in 0_i64..10_000_000) {
            let mut decay = Decay::new(Duration::days(30));

            let first_weight = decay.weigh(MONDAY + Duration::seconds(first)).value;
            let later_weight = decay.weigh(MONDAY + Duration::seconds(first + later)).value;

            prop_assert!(first_weight <= later_weight);
        }
    }

    #[test]
    fn a_landmark_that_is_left_behind_moves_without_changing_a_ratio() {
        let mut decay = Decay::new(Duration::hours(1));
        let first = decay.weigh(MONDAY);
        let old = decay.weigh(MONDAY + Duration::hours(512));

        let new = decay.weigh(MONDAY + Duration::hours(513));

        assert_eq!((first.rescale, old.rescale), (None, None));
        let rescale = new.rescale.unwrap();
        assert_eq!(new.value / (old.value * rescale), 2.0);
    }

    #[test]
    fn a_gap_of_ages_leaves_nothing_but_breaks_nothing() {
        let mut decay = Decay::new(Duration::seconds(1));
        let old = decay.weigh(MONDAY);

        let new = decay.weigh(MONDAY + Duration::days(3_650));

        assert_eq!(old.value * new.rescale.unwrap(), 0.0);
        assert_eq!(decay.weigh(MONDAY).value, 0.0);
        assert!((1.0..=2.0).contains(&new.value));
    }
}
