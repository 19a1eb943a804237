//! How long calls take, as far as decisions need it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use hdrhistogram::Histogram;

use super::cell::Stamped;
use super::clock::{Time, nanos};
use super::shard;

/// Below this many samples, no quantile is known.
pub const LEAST_SAMPLES: u64 = 100;

/// Longer durations count as this.
pub const LONGEST: Duration = Duration::from_mins(1);

/// Quantiles of the durations of the last one to two windows, to two significant
/// digits.
///
/// To read one is one atomic load. They are worked out anew by those who record, after
/// 100 ms or about 1000 samples, so what is read is that old at most while there are
/// calls. Threads put their samples down apart, and one of them gathers those of all
/// from time to time. A sample that comes while another thread is at the same place is
/// dropped and counted.
///
/// One for each method. It takes about 22 kB, which is fixed: 2.4 thousand counters in
/// each of two histograms, and up to 16 samples in each of a few batches.
pub struct Latency {
    /// In nanoseconds.
    window: u64,
    batches: Box<[Shard]>,
    /// When those of all threads are gathered, at the latest. In nanoseconds.
    due: AtomicU64,
    samples: Mutex<Samples>,
    /// By [`Quantile`], in microseconds, with the tick in which it stops to hold.
    quantiles: [AtomicU64; Quantile::ALL.len()],
    dropped: AtomicU64,
}

/// The quantiles that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quantile {
    /// The median.
    P50,
    /// What nine of ten do not exceed.
    P90,
    /// What nineteen of twenty do not exceed.
    P95,
}

/// Alone on its cache lines.
#[repr(align(128))]
struct Shard(Mutex<Batch>);

/// Samples that were not gathered yet, each with its time.
#[derive(Default)]
struct Batch {
    count: usize,
    samples: [(Duration, Time); BATCH],
}

const BATCH: usize = 16;

/// The windows, one after the other, have the same length.
struct Samples {
    /// Of the present window.
    present: Histogram<u32>,
    /// Of it and the one before.
    both: Histogram<u32>,
    /// When the present window began.
    began: Time,
    /// When the quantiles were last worked out.
    known: Time,
    /// Samples since then.
    fresh: u32,
}

impl Latency {
    /// The default window.
    pub const WINDOW: Duration = Duration::from_secs(10);

    /// At least a second.
    pub fn new(window: Duration) -> Self {
        let batch = |_| Shard(Mutex::default());
        Self {
            window: nanos(window.max(Duration::from_secs(1))),
            batches: (0..shard::count()).map(batch).collect(),
            due: AtomicU64::new(0),
            samples: Mutex::new(Samples::new()),
            quantiles: [const { AtomicU64::new(0) }; Quantile::ALL.len()],
            dropped: AtomicU64::new(0),
        }
    }

    /// Notes that a call that ended now took `duration`. Never waits.
    pub fn record(&self, duration: Duration, now: Time) {
        let Some(mut batch) = try_lock(&shard::mine(&self.batches).0) else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if !batch.add(duration, now) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        // Relaxed: it only says when to look, and whoever looks takes the lock.
        if batch.is_full() || self.due.load(Ordering::Relaxed) <= now.as_nanos() {
            drop(batch);
            self.gather(now);
        }
    }

    /// If another thread is at it, that one does it.
    fn gather(&self, now: Time) {
        let Some(mut samples) = try_lock(&self.samples) else { return };
        for Shard(batch) in &self.batches {
            if let Some(mut batch) = try_lock(batch) {
                batch.take().iter().for_each(|(duration, at)| {
                    samples.turn(*at, self.window);
                    samples.add(*duration, *at, self.window);
                });
            }
        }
        samples.turn(now, self.window);
        if samples.is_due(now) {
            self.publish(&mut samples, now);
        }
        self.due.store(samples.due().as_nanos(), Ordering::Relaxed);
    }

    /// `None` if there are fewer than [`LEAST_SAMPLES`].
    pub fn quantile(&self, quantile: Quantile, now: Time) -> Option<Duration> {
        let word = self.quantiles[quantile as usize].load(Ordering::Relaxed);
        let held = Stamped::unpack(word);
        (tick(now) < held.tick).then(|| Duration::from_micros(u64::from(held.value)))
    }

    /// How many samples were dropped because another thread was recording.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn publish(&self, samples: &mut Samples, now: Time) {
        let windows = if samples.present.len() < LEAST_SAMPLES { 1 } else { 2 };
        let end = samples.began + Duration::from_nanos(self.window.saturating_mul(windows));
        for quantile in Quantile::ALL {
            let held = Stamped { tick: tick(end), value: samples.micros(quantile) };
            self.quantiles[quantile as usize].store(held.pack(), Ordering::Relaxed);
        }
        samples.known = now;
        samples.fresh = 0;
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self::new(Self::WINDOW)
    }
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latency").field("dropped", &self.dropped).finish_non_exhaustive()
    }
}

impl Quantile {
    const ALL: [Self; 3] = [Self::P50, Self::P90, Self::P95];

    const fn share(self) -> f64 {
        match self {
            Self::P50 => 0.5,
            Self::P90 => 0.9,
            Self::P95 => 0.95,
        }
    }
}

impl Samples {
    const REFRESH_AFTER: Duration = Duration::from_millis(100);
    const REFRESH_SAMPLES: u32 = 1_000;

    fn new() -> Self {
        Self { present: empty(), both: empty(), began: Time::ZERO, known: Time::ZERO, fresh: 0 }
    }

    /// Begins the window that `now` is in, if that is not the present one.
    fn turn(&mut self, now: Time, window: u64) {
        let since = nanos(now.since(self.began));
        if since < window {
            return;
        }
        self.began = Time::from_nanos(now.as_nanos() - since % window);
        std::mem::swap(&mut self.present, &mut self.both);
        self.present.clear();
        if 2 * window <= since {
            self.both.clear();
        }
    }

    /// A sample of the present window, or one of the window before that was gathered
    /// late. An older one is of no interest any more.
    fn add(&mut self, duration: Duration, at: Time, window: u64) {
        let micros = u64::try_from(duration.min(LONGEST).as_micros())
            .expect("a minute has few microseconds");
        let late = nanos(self.began.since(at));
        if late == 0 {
            self.present.saturating_record(micros);
        }
        if late <= window {
            self.both.saturating_record(micros);
            self.fresh += 1;
        }
    }

    fn is_due(&self, now: Time) -> bool {
        let samples = self.both.len();
        LEAST_SAMPLES <= samples
            && (samples == LEAST_SAMPLES
                || Self::REFRESH_SAMPLES <= self.fresh
                || Self::REFRESH_AFTER <= now.since(self.known))
    }

    /// When to gather, whether or not a batch is full: at once, as long as each sample
    /// can be the one by which the quantiles are known.
    fn due(&self) -> Time {
        if self.both.len() < LEAST_SAMPLES { Time::ZERO } else { self.known + Self::REFRESH_AFTER }
    }

    fn micros(&self, quantile: Quantile) -> u32 {
        let micros = self.both.value_at_quantile(quantile.share());
        u32::try_from(micros).unwrap_or(Stamped::MAX).min(Stamped::MAX)
    }
}

impl Batch {
    /// `false` if it is full.
    fn add(&mut self, duration: Duration, at: Time) -> bool {
        let place = self.samples.get_mut(self.count);
        let has_room = place.is_some();
        if let Some(place) = place {
            *place = (duration, at);
            self.count += 1;
        }
        has_room
    }

    fn is_full(&self) -> bool {
        self.count == BATCH
    }

    /// All that is in it, upon which it is empty.
    fn take(&mut self) -> &[(Duration, Time)] {
        let count = std::mem::take(&mut self.count);
        &self.samples[..count]
    }
}

/// `None` if it is held.
fn try_lock<T>(lock: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match lock.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

fn empty() -> Histogram<u32> {
    let longest = u64::try_from(LONGEST.as_micros()).expect("a minute has few microseconds");
    Histogram::new_with_bounds(1, longest, 2).expect("the bounds are in order")
}

fn tick(now: Time) -> u64 {
    now.as_nanos() / Stamped::TICK_NANOS
}

#[cfg(test)]
mod tests;
