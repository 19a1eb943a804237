//! What one series holds.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::observe::{CounterSink, GaugeSink, HistogramSink};

/// The bounds of all but the last bucket are powers of two, from 2⁻¹⁴ (61 µs, if
/// seconds are recorded) to 2¹⁰ (17 minutes): the bucket of a value is its exponent, and
/// no search is needed.
const LOWEST: i64 = -14;
const BOUNDS: usize = 25;

#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

/// The bits of a double.
#[derive(Debug, Default)]
pub(super) struct Level(AtomicU64);

#[derive(Debug, Default)]
pub(super) struct Spread {
    sum: Level,
    /// The last one is for what is above all bounds.
    buckets: [AtomicU64; BOUNDS + 1],
}

/// What a histogram has recorded.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Distribution {
    /// How many values.
    pub count: u64,
    /// Of all values.
    pub sum: f64,
    /// The upper bound, which belongs to it, and the count of each bucket that is not
    /// empty, lowest first. The bound of the last one may be infinite, which is `null`
    /// in JSON.
    pub buckets: Vec<(f64, u64)>,
}

// Each number stands alone: whoever reads them learns nothing about other memory, and
// what is read while others write is a little old. So every access is relaxed.

impl Count {
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl CounterSink for Count {
    fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }
}

impl Level {
    pub(super) fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    fn add(&self, by: f64) {
        let sum = |bits| Some((f64::from_bits(bits) + by).to_bits());
        // The closure never declines.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum);
    }
}

impl GaugeSink for Level {
    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
}

impl Spread {
    pub(super) fn get(&self) -> Distribution {
        let counts = self.buckets.iter().map(|count| count.load(Ordering::Relaxed));
        let bounds = (0..BOUNDS).map(bound).chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(counts).filter(|(_, count)| *count > 0).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        Distribution { count, sum: self.sum.get(), buckets }
    }
}

impl HistogramSink for Spread {
    /// What is not a number is left out, since it would spoil the sum for good.
    fn record(&self, value: f64) {
        if value.is_finite() {
            self.buckets[bucket(value)].fetch_add(1, Ordering::Relaxed);
            self.sum.add(value);
        }
    }
}

impl Distribution {
    /// The mean; `None` if nothing was recorded.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2⁵³")]
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }

    pub(super) fn plus(mut self, other: Self) -> Self {
        self.count += other.count;
        self.sum += other.sum;
        for (bound, count) in other.buckets {
            match self.buckets.binary_search_by(|(known, _)| known.total_cmp(&bound)) {
                Ok(at) => self.buckets[at].1 += count,
                Err(at) => self.buckets.insert(at, (bound, count)),
            }
        }
        self
    }
}

fn bound(index: usize) -> f64 {
    let exponent = LOWEST + i64::try_from(index).expect("there are few buckets");
    f64::from_bits(u64::try_from(exponent + 1023).expect("far above the least") << 52)
}

/// The lowest bucket whose bound is not below `value`.
fn bucket(value: f64) -> usize {
    if value <= bound(0) {
        return 0;
    }
    let bits = value.to_bits();
    let exponent = i64::try_from((bits >> 52) & 0x7ff).expect("eleven bits") - 1023;
    // A power of two is in the bucket that it bounds, and all above it in the next.
    let above = i64::from(bits & ((1 << 52) - 1) != 0);
    usize::try_from(exponent + above - LOWEST).expect("above the lowest bound").min(BOUNDS)
}
