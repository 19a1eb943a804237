//! One word that threads share.
//!
//! What a decision depends on is packed into a single word and changed by one
//! compare-and-swap, so no thread sees half of a change and two threads never act on
//! the same state. The word guards no other memory, hence the relaxed orderings.

use std::sync::atomic::{AtomicU64, Ordering};

/// An atomic word; a trait so that a model checker can put its own in.
pub(super) trait Cell64 {
    fn new(word: u64) -> Self;

    fn load(&self) -> u64;

    /// Fails with the word that is there, which may even be `current`.
    fn exchange(&self, current: u64, new: u64) -> Result<u64, u64>;

    /// Changes the word and says what that means. `step` is asked anew when another
    /// thread came in between, and nothing is written when it changes nothing.
    fn update<T>(&self, mut step: impl FnMut(u64) -> (u64, T)) -> T {
        let mut word = self.load();
        loop {
            let (next, answer) = step(word);
            if next == word {
                return answer;
            }
            match self.exchange(word, next) {
                Ok(_) => return answer,
                Err(seen) => word = seen,
            }
        }
    }
}

impl Cell64 for AtomicU64 {
    fn new(word: u64) -> Self {
        Self::new(word)
    }

    fn load(&self) -> u64 {
        self.load(Ordering::Relaxed)
    }

    fn exchange(&self, current: u64, new: u64) -> Result<u64, u64> {
        self.compare_exchange_weak(current, new, Ordering::Relaxed, Ordering::Relaxed)
    }
}

#[cfg(test)]
impl Cell64 for loom::sync::atomic::AtomicU64 {
    fn new(word: u64) -> Self {
        Self::new(word)
    }

    fn load(&self) -> u64 {
        self.load(Ordering::Relaxed)
    }

    fn exchange(&self, current: u64, new: u64) -> Result<u64, u64> {
        self.compare_exchange_weak(current, new, Ordering::Relaxed, Ordering::Relaxed)
    }
}

/// A small number and a moment, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamped {
    /// In steps of [`Stamped::TICK_NANOS`], of which 38 bits hold all that a clock can
    /// say.
    pub(super) tick: u64,
    /// Up to [`Stamped::MAX`].
    pub(super) value: u32,
}

impl Stamped {
    /// 100 ms.
    pub(super) const TICK_NANOS: u64 = 100_000_000;
    pub(super) const MAX: u32 = (1 << Self::VALUE_BITS) - 1;
    const VALUE_BITS: u32 = 26;

    pub(super) const fn pack(self) -> u64 {
        (self.tick << Self::VALUE_BITS) | self.value as u64
    }

    #[expect(clippy::cast_possible_truncation, reason = "the mask leaves 26 bits")]
    pub(super) const fn unpack(word: u64) -> Self {
        Self { tick: word >> Self::VALUE_BITS, value: (word & Self::MAX as u64) as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_moment_and_the_largest_number_fit() {
        let stamped = Stamped { tick: u64::MAX / Stamped::TICK_NANOS, value: Stamped::MAX };
        assert_eq!(Stamped::unpack(stamped.pack()), stamped);
    }
}
