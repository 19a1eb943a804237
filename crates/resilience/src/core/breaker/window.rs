//! What happened in the time just past: exact counts in ten buckets of time.
//!
//! Every outcome is of one of four kinds, and each kind has its own word in each
//! bucket, so that an outcome changes a single word. A word says itself which bucket of
//! time and which generation it counts: whoever finds that these are over replaces
//! them and counts its own outcome in one step, so nothing is lost or counted twice
//! when buckets are used again. Threads count in different shards, which are added up
//! when someone asks.
//!
//! Buckets are numbered from the origin of time, so the window always moves by whole
//! buckets and covers between nine and ten of them.

mod tally;
#[cfg(test)]
mod tests;

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;

use self::tally::{Tag, Tally};
use super::cell::Cell64;
use crate::core::clock::{Time, nanos};
use crate::core::shard;

/// How many calls a window holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    pub calls: u64,
    /// Those that failed, and those whose peer asked for less.
    pub failures: u64,
    /// Those that took too long, however they ended.
    pub slow: u64,
}

/// What is counted of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Good,
    GoodSlow,
    Bad,
    BadSlow,
}

#[derive(Debug)]
pub(super) struct Window<C> {
    /// Buckets per nanosecond, as a fraction of [`SCALE`].
    rate: C,
    shards: Box<[Shard<C>]>,
}

/// A shard has its cache lines for itself, also where they are fetched in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Shard<C>([[C; KINDS]; PLACES]);

pub(super) const BUCKETS: usize = 10;

/// More than there are buckets in the window, so that finding the one of a moment takes
/// no division. What is in the others is too old to count.
const PLACES: usize = 16;
const KINDS: usize = 4;

/// The binary digits behind the point of a rate.
const SCALE: u32 = 90;

impl<C: Cell64> Window<C> {
    /// `shards` is a power of two.
    pub(super) fn new(length: Duration, shards: usize) -> Self {
        debug_assert!(shards.is_power_of_two(), "{shards} shards");
        let shard = |_| Shard(std::array::from_fn(|_| std::array::from_fn(|_| C::new(0))));
        Self { rate: C::new(rate(length)), shards: (0..shards).map(shard).collect() }
    }

    /// Counts an outcome of `generation`, or says that this is over.
    ///
    /// `is_current` says whether it still is; it is asked after the word was read. If
    /// another generation begins to count after that, it has emptied the word, so that
    /// the exchange fails, or finds an empty one and leaves a tag that nobody else
    /// counts. An outcome that is older than the window is not counted, as if it had
    /// been and were gone.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call of it takes as long as what it does")]
    pub(super) fn add(
        &self,
        generation: u64,
        kind: Kind,
        now: Time,
        is_current: impl Fn() -> bool,
    ) -> bool {
        let bucket = self.bucket(now);
        let cell = &self.shard().0[index(bucket)][kind as usize];
        let tag = Tag::new(generation, bucket);
        // Relaxed, since a word with this tag cannot be of a newer generation.
        let seen = Tally::from_bits(cell.load(Ordering::Relaxed));
        match seen.one_more(tag) {
            Some(next) if is_current() && replace(cell, seen, next).is_ok() => true,
            _ => add_with_care(cell, tag, is_current),
        }
    }

    pub(super) fn totals(&self, generation: u64, now: Time) -> Totals {
        let tag = Tag::new(generation, self.bucket(now));
        let mut counts = [0; KINDS];
        for row in self.shards.iter().flat_map(|shard| &shard.0) {
            for (count, cell) in counts.iter_mut().zip(row) {
                *count += Tally::from_bits(cell.load(Ordering::Relaxed)).in_window(tag);
            }
        }
        let [good, good_slow, bad, bad_slow] = counts;
        Totals {
            calls: good + good_slow + bad + bad_slow,
            failures: bad + bad_slow,
            slow: good_slow + bad_slow,
        }
    }

    /// The calls of the bucket that has the most.
    pub(super) fn busiest(&self, generation: u64, now: Time) -> u64 {
        let tag = Tag::new(generation, self.bucket(now));
        let calls_in = |bucket: usize| {
            let cells = self.shards.iter().flat_map(|shard| &shard.0[bucket]);
            let tallies = cells.map(|cell| Tally::from_bits(cell.load(Ordering::Relaxed)));
            tallies.map(|tally| tally.in_window(tag)).sum()
        };
        (0..PLACES).map(calls_in).max().unwrap_or_default()
    }

    /// Empties it before the next generation is announced. Only the end of a
    /// generation is kept in a word, and none may be mistaken for an older one.
    pub(super) fn sweep(&self) {
        for cell in self.shards.iter().flat_map(|shard| shard.0.as_flattened()) {
            // A store would do, but model checkers place a store less exactly.
            cell.swap(0, Ordering::Relaxed);
        }
    }

    pub(super) fn is_of(&self, length: Duration) -> bool {
        self.rate.load(Ordering::Relaxed) == rate(length)
    }

    /// What was counted before belongs to other buckets from now on, so it takes a
    /// [`sweep`](Self::sweep) and a new generation.
    pub(super) fn resize(&self, length: Duration) {
        self.rate.store(rate(length), Ordering::Relaxed);
    }

    /// A multiplication, since every call waits for it and a division takes several
    /// times as long. It is exact for longer than half a year, and after that puts the
    /// edge between two buckets off by less than a microsecond.
    #[inline]
    fn bucket(&self, now: Time) -> u64 {
        let rate = self.rate.load(Ordering::Relaxed);
        let bucket = (u128::from(now.as_nanos()) * u128::from(rate)) >> SCALE;
        u64::try_from(bucket).expect("the scale is wider than a word")
    }

    #[inline]
    fn shard(&self) -> &Shard<C> {
        shard::mine(&self.shards)
    }
}

impl Totals {
    /// In `0.0..=1.0`; zero without calls.
    pub fn failure_rate(&self) -> f64 {
        share(self.failures, self.calls)
    }

    /// In `0.0..=1.0`; zero without calls.
    pub fn slow_rate(&self) -> f64 {
        share(self.slow, self.calls)
    }
}

impl Kind {
    #[inline]
    pub(super) const fn new(good: bool, slow: bool) -> Self {
        match (good, slow) {
            (true, false) => Self::Good,
            (true, true) => Self::GoodSlow,
            (false, false) => Self::Bad,
            (false, true) => Self::BadSlow,
        }
    }
}

/// Counts whatever the word holds; what [`Window::add`] does not do at once.
#[cold]
fn add_with_care<C: Cell64>(cell: &C, tag: Tag, is_current: impl Fn() -> bool) -> bool {
    let mut seen = Tally::from_bits(cell.load(Ordering::Acquire));
    loop {
        if !is_current() {
            return false;
        }
        let Some(next) = seen.with(tag) else { return true };
        match replace(cell, seen, next) {
            Ok(()) => return true,
            Err(found) => seen = found,
        }
    }
}

/// Whoever sees a word of a newer generation must see that generation, too: hence
/// release here, and acquire wherever a word of another tag is read to be replaced.
#[inline]
fn replace<C: Cell64>(cell: &C, seen: Tally, next: Tally) -> Result<(), Tally> {
    let (seen, next) = (seen.bits(), next.bits());
    match cell.compare_exchange(seen, next, Ordering::Release, Ordering::Acquire) {
        Ok(_) => Ok(()),
        Err(found) => Err(Tally::from_bits(found)),
    }
}

/// Rounded up, so that the first nanosecond of a bucket is in it.
fn rate(length: Duration) -> u64 {
    let width = u128::from(nanos(length) / BUCKETS as u64);
    u64::try_from((1_u128 << SCALE).div_ceil(width)).expect("a window is at least a second long")
}

#[inline]
fn index(bucket: u64) -> usize {
    const COUNT: u64 = PLACES as u64;
    usize::try_from(bucket % COUNT).expect("it is less than sixteen")
}

#[expect(clippy::cast_precision_loss, reason = "a rate needs no more than a double holds")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
