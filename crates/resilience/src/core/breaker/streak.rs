//! How many failures there were in a row.

use std::sync::atomic::Ordering;

use super::cell::Cell64;

/// The count in the low half, and the low half of the generation that it belongs to
/// in the high one. A count of another generation is worth zero, so it needs no reset.
#[derive(Debug)]
pub(super) struct Streak<C>(C);

const HALF: u32 = 32;
const COUNT: u64 = (1 << HALF) - 1;

impl<C: Cell64> Streak<C> {
    pub(super) fn new() -> Self {
        Self(C::new(0))
    }

    pub(super) fn count(&self, generation: u64) -> u64 {
        count_of(self.0.load(Ordering::Relaxed), generation)
    }

    /// Adds a failure and says how many there are now.
    pub(super) fn grow(&self, generation: u64) -> u64 {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            if is_newer(seen, generation) {
                return 0;
            }
            let count = (count_of(seen, generation) + 1).min(COUNT);
            match self.replace(seen, (generation << HALF) | count) {
                Ok(_) => return count,
                Err(found) => seen = found,
            }
        }
    }

    /// A success. It writes only if there is something to clear.
    #[inline]
    pub(super) fn clear(&self, generation: u64) {
        if self.0.load(Ordering::Relaxed) & COUNT != 0 {
            self.clear_count(generation);
        }
    }

    #[cold]
    fn clear_count(&self, generation: u64) {
        let mut seen = self.0.load(Ordering::Relaxed);
        while count_of(seen, generation) != 0 {
            match self.replace(seen, generation << HALF) {
                Ok(_) => return,
                Err(found) => seen = found,
            }
        }
    }

    fn replace(&self, seen: u64, new: u64) -> Result<u64, u64> {
        self.0.compare_exchange(seen, new, Ordering::Relaxed, Ordering::Relaxed)
    }
}

fn count_of(word: u64, generation: u64) -> u64 {
    if word >> HALF == generation & COUNT { word & COUNT } else { 0 }
}

/// Whether the count belongs to a later generation than `generation`, up to half the
/// range of what is kept of it.
fn is_newer(word: u64, generation: u64) -> bool {
    let ahead = (word >> HALF).wrapping_sub(generation) & COUNT;
    ahead != 0 && ahead <= COUNT / 2
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn a_success_clears_only_the_count_of_its_own_generation() {
        let streak = Streak::<AtomicU64>::new();
        assert_eq!((streak.grow(7), streak.grow(7)), (1, 2));
        streak.clear(6);
        assert_eq!(streak.count(7), 2);
        streak.clear(7);
        assert_eq!(streak.count(7), 0);
    }

    #[test]
    fn a_late_failure_of_an_older_generation_does_not_count() {
        let streak = Streak::<AtomicU64>::new();
        assert_eq!(streak.grow(8), 1);
        assert_eq!(streak.grow(7), 0);
        assert_eq!(streak.count(8), 1);
        assert_eq!(streak.grow(9), 1, "the count of generation 8 is worth nothing now");
    }
}
