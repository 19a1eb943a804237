//! How long calls take, as far as decisions need it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, TryLockError};
use std::time::Duration;

use hdrhistogram::Histogram;

use super::cell::Stamped;
use super::clock::{Time, nanos};

/// Below this many samples, no quantile is known.
pub const LEAST_SAMPLES: u64 = 100;

/// Longer durations count as this.
pub const LONGEST: Duration = Duration::from_mins(1);

/// Quantiles of the durations of the last one to two windows, to two significant
/// digits.
///
/// To read one is one atomic load. They are worked out anew by those who record, after
/// 100 ms or 1000 samples, so what is read is that old at most while there are calls.
/// A sample that comes while another thread records is dropped and counted.
///
/// One for each method. It takes about 20 kB, which is fixed: 2.4 thousand counters in
/// each of two histograms.
pub struct Latency {
    /// In nanoseconds.
    window: u64,
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
        Self {
            window: nanos(window.max(Duration::from_secs(1))),
            samples: Mutex::new(Samples::new()),
            quantiles: [const { AtomicU64::new(0) }; Quantile::ALL.len()],
            dropped: AtomicU64::new(0),
        }
    }

    /// Notes that a call that ended now took `duration`. Never waits.
    pub fn record(&self, duration: Duration, now: Time) {
        let mut samples = match self.samples.try_lock() {
            Ok(samples) => samples,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                return;
            }
        };
        samples.turn(now, self.window);
        samples.add(duration);
        if samples.is_due(now) {
            self.publish(&mut samples, now);
        }
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

    fn add(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.min(LONGEST).as_micros())
            .expect("a minute has few microseconds");
        self.present.saturating_record(micros);
        self.both.saturating_record(micros);
        self.fresh += 1;
    }

    fn is_due(&self, now: Time) -> bool {
        let samples = self.both.len();
        LEAST_SAMPLES <= samples
            && (samples == LEAST_SAMPLES
                || Self::REFRESH_SAMPLES <= self.fresh
                || Self::REFRESH_AFTER <= now.since(self.known))
    }

    fn micros(&self, quantile: Quantile) -> u32 {
        let micros = self.both.value_at_quantile(quantile.share());
        u32::try_from(micros).unwrap_or(Stamped::MAX).min(Stamped::MAX)
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
