//! How long to wait before trying again.

use std::time::Duration;

/// Waits that grow fourfold with each failure, up to a cap.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The longest first wait.
    pub first: Duration,
    /// The longest wait of all.
    pub cap: Duration,
}

impl Backoff {
    /// The longest wait after `failures` in a row, counted from 1.
    pub fn ceiling(&self, failures: u32) -> Duration {
        let factor = 4_u32.saturating_pow(failures.saturating_sub(1));
        self.first.saturating_mul(factor).min(self.cap)
    }

    /// A wait after `failures` in a row, anywhere between nothing and the ceiling.
    ///
    /// "Full jitter" of Brooker, "Exponential Backoff And Jitter" (2015): those
    /// who failed together do not come back together.
    pub fn delay(&self, failures: u32) -> Duration {
        rand::random_range(Duration::ZERO..=self.ceiling(failures))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn backoffs() -> impl Strategy<Value = Backoff> {
        (1..10_000_u64, 0..200_000_u64).prop_map(|(first, more)| Backoff {
            first: Duration::from_millis(first),
            cap: Duration::from_millis(first + more),
        })
    }

    proptest! {
        #[test]
        fn a_delay_stays_below_its_ceiling_and_the_ceiling_below_the_cap(
            backoff in backoffs(), failures: u32,
        ) {
            let ceiling = backoff.ceiling(failures);
            prop_assert!(backoff.delay(failures) <= ceiling);
            prop_assert!(backoff.first <= ceiling && ceiling <= backoff.cap);
        }

        #[test]
        fn ceilings_never_shrink_and_reach_the_cap(backoff in backoffs(), failures in 1..100_u32) {
            prop_assert!(backoff.ceiling(failures) <= backoff.ceiling(failures + 1));
            prop_assert_eq!(backoff.ceiling(100), backoff.cap);
        }
    }

    #[test]
    fn ceilings_grow_fourfold() {
        let backoff = Backoff { first: Duration::from_millis(500), cap: Duration::from_mins(2) };
        let ceilings: Vec<_> = (1..=6).map(|n| backoff.ceiling(n).as_millis()).collect();
        assert_eq!(ceilings, [500, 2_000, 8_000, 32_000, 120_000, 120_000]);
    }
}
