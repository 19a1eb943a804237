//! Counts over a window of time that moves in steps.

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
    words: Words<C>,
}

/// All calls write there, so nothing that they only read is beside it.
#[derive(Debug)]
#[repr(align(128))]
struct Words<C>([C; LENGTH]);

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
        Self {
            step: (nanos / u64::from(STEPS)).max(1),
            words: Words(std::array::from_fn(|_| C::new(0))),
        }
    }

    /// Where `now` is.
    pub(super) fn place(&self, now: Time) -> Place {
        let step = now.as_nanos() / self.step;
        let index = usize::try_from(step % u64::from(STEPS)).expect("there are few steps");
        Place { index, lap: step / u64::from(STEPS) }
    }

    /// Adds to a step. A thread that is late by a whole window adds nothing.
    pub(super) fn count(&self, place: Place, requests: u32, accepts: u32) {
        self.words.0[place.index].update(|word| {
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

    /// All that was counted in the 15 steps up to this one.
    pub(super) fn counts(&self, place: Place) -> Counts {
        // Behind the present step are those of the lap before.
        let (present, before) = self.words.0.split_at(place.index + 1);
        let mut total = Counts::default();
        total.add(present, place.lap);
        total.add(before, place.lap.wrapping_sub(1));
        total
    }

    /// Of that, what was counted in the last [`RECENT`] steps.
    pub(super) fn recent(&self, place: Place) -> Counts {
        let mut total = Counts::default();
        for back in 0..RECENT as usize {
            let (index, lap) = match place.index.checked_sub(back) {
                Some(index) => (index, place.lap),
                None => (place.index + LENGTH - back, place.lap.wrapping_sub(1)),
            };
            total.add(&self.words.0[index..=index], lap);
        }
        total
    }
}

impl Counts {
    /// What the words hold that are of that lap. Without a branch, which would be
    /// guessed wrong, and with both counts added at once: every call does this.
    #[expect(clippy::cast_possible_truncation, reason = "15 counts of 22 bits fit into 26")]
    fn add<C: Cell64>(&mut self, words: &[C], lap: u64) {
        let lap = Step::lap(lap) << (2 * Step::COUNT_BITS);
        let (mut both, mut requests) = (0, 0);
        for word in words {
            let counts = word.load() ^ lap;
            let counts = if counts >> (2 * Step::COUNT_BITS) == 0 { counts } else { 0 };
            both += counts;
            requests += counts >> Step::COUNT_BITS;
        }
        self.requests += requests as u32;
        self.accepts += (both - (requests << Step::COUNT_BITS)) as u32;
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
