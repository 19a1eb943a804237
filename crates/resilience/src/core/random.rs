//! Chance that tests can repeat.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A source of random numbers that all threads share without a lock.
///
/// `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", OOPSLA 2014), whose state is a counter and so can be an atomic. It is
/// good enough to spread load, and never to keep a secret.
#[derive(Debug)]
pub struct Random(AtomicU64);

impl Random {
    /// The same seed gives the same numbers.
    pub const fn seeded(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// A seed that no other instance or process has.
    pub fn from_entropy() -> Self {
        use std::hash::{BuildHasher as _, Hasher as _};
        Self::seeded(std::hash::RandomState::new().build_hasher().finish())
    }

    pub fn next_u64(&self) -> u64 {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let state = self.0.fetch_add(GOLDEN, Ordering::Relaxed).wrapping_add(GOLDEN);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in `0.0..1.0`.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a double holds")]
    pub fn unit(&self) -> f64 {
        const RANGE: f64 = (1_u64 << 53) as f64;
        (self.next_u64() >> 11) as f64 / RANGE
    }

    /// Uniform in `0..bound`; zero if `bound` is zero.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the high half of the product is below bound"
    )]
    pub fn below(&self, bound: usize) -> usize {
        ((u128::from(self.next_u64()) * bound as u128) >> 64) as usize
    }

    /// Uniform in `low..high`; `low` if the range is empty.
    pub fn between(&self, low: Duration, high: Duration) -> Duration {
        low + high.saturating_sub(low).mul_f64(self.unit())
    }

    /// True with the probability `share`, which is cut to `0.0..=1.0`.
    pub fn chance(&self, share: f64) -> bool {
        share > 0.0 && self.unit() < share
    }
}
