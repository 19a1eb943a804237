//! Counts over a window of time that moves in steps.

use std::ops::Add;

use crate::core::cell::Cell64;
use crate::core::clock::Time;

pub(super) const STEPS: u32 = 15;

const LENGTH: usize = STEPS as usize;

/// The steps that say how it is now, the present one included.
pub(super) const RECENT: u32 = 3;

/// A ring of steps, each of which is one word that holds its counts and the lap that
/// they belong to. The first to count in a new lap starts the word anew in the same
/// exchange, so no count is lost when a step begins.
#[derive(Debug)]
pub(super) struct Window<C> {
    /// In nanoseconds.
    step: u64,
    words: [C; LENGTH],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) requests: u32,
    pub(super) accepts: u32,
}

/// What a word holds.
#[derive(Clone, Copy)]
struct Step {
    /// Modulo 2^20, which with a window of 30 s is a year.
    lap: u64,
    counts: Counts,
}

/// A step of the ring, and the lap that it is in.
#[derive(Clone, Copy)]
pub(super) struct Place {
    index: usize,
    lap: u64,
}

impl<C: Cell64> Window<C> {
    pub(super) fn new(nanos: u64) -> Self {
        Self { step: (nanos / u64::from(STEPS)).max(1), words: std::array::from_fn(|_| C::new(0)) }
    }

    /// Where `now` is.
    pub(super) fn place(&self, now: Time) -> Place {
        let step = now.as_nanos() / self.step;
        let index = usize::try_from(step % u64::from(STEPS)).expect("there are few steps");
        Place { index, lap: step / u64::from(STEPS) }
    }

    /// Adds to a step. A thread that is late by a whole window adds nothing.
    pub(super) fn count(&self, place: Place, requests: u32, accepts: u32) {
        self.words[place.index].update(|word| {
            let step = Step::unpack(word);
            if step.lap == Step::lap(place.lap + 1) {
                return (word, ());
            }
            let old = step.within(place.lap);
            let counts = Counts {
                requests: (old.requests + requests).min(Step::MOST),
                accepts: (old.accepts + accepts).min(Step::MOST),
            };
            (Step { lap: Step::lap(place.lap), counts }.pack(), ())
        });
    }

    /// All that was counted in the 15 steps up to this one, and of that what was counted
    /// in the last [`RECENT`].
    pub(super) fn counts(&self, place: Place) -> (Counts, Counts) {
        let (mut all, mut recent) = (Counts::default(), Counts::default());
        for (index, word) in self.words.iter().enumerate() {
            // Behind the present step are those of the lap before.
            let lap = place.lap.wrapping_sub(u64::from(place.index < index));
            let counts = Step::unpack(word.load()).within(lap);
            all = all + counts;
            if (place.index + LENGTH - index) % LENGTH < RECENT as usize {
                recent = recent + counts;
            }
        }
        (all, recent)
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { requests: self.requests + other.requests, accepts: self.accepts + other.accepts }
    }
}

impl Step {
    const COUNT_BITS: u32 = 22;
    const MOST: u32 = (1 << Self::COUNT_BITS) - 1;

    const fn lap(lap: u64) -> u64 {
        lap & ((1 << 20) - 1)
    }

    /// Its counts if they are of that lap, else none.
    fn within(self, lap: u64) -> Counts {
        if self.lap == Self::lap(lap) { self.counts } else { Counts::default() }
    }

    const fn pack(self) -> u64 {
        self.lap << (2 * Self::COUNT_BITS)
            | (self.counts.requests as u64) << Self::COUNT_BITS
            | self.counts.accepts as u64
    }

    #[expect(clippy::cast_possible_truncation, reason = "the mask leaves 22 bits")]
    const fn unpack(word: u64) -> Self {
        let requests = ((word >> Self::COUNT_BITS) & Self::MOST as u64) as u32;
        let accepts = (word & Self::MOST as u64) as u32;
        Self { lap: word >> (2 * Self::COUNT_BITS), counts: Counts { requests, accepts } }
    }
}

#[cfg(test)]
mod tests;
