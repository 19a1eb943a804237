//! The latencies of one window, written by all threads without a lock.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::core::clock::nanos;

/// Each power of two has that many buckets, so a bucket is 3 % wide.
const PARTS: usize = 32;
const PARTS_LOG: u32 = PARTS.trailing_zeros();
/// One unit is 1.024 µs.
const UNIT_LOG: u32 = 10;
/// 2^30 units, which is 18 minutes; what took longer is counted as that.
const LONGEST_LOG: u32 = 30;
const BUCKETS: usize = (LONGEST_LOG - PARTS_LOG + 1) as usize * PARTS;

/// How many calls took how long. Recording is one addition.
#[derive(Debug)]
pub(super) struct Histogram(Box<[AtomicU32]>);

/// What a histogram held.
#[derive(Debug)]
pub(super) struct Counts {
    counts: Vec<u32>,
    total: u64,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self((0..BUCKETS).map(|_| AtomicU32::new(0)).collect())
    }

    pub(super) fn record(&self, latency: Duration) {
        // The counts guard nothing else, so they need no order.
        self.0[bucket(nanos(latency) >> UNIT_LOG)].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn total(&self) -> u64 {
        self.0.iter().map(|count| u64::from(count.load(Ordering::Relaxed))).sum()
    }

    /// Empties it. What is recorded meanwhile is in this window or in the next one.
    pub(super) fn take(&self) -> Counts {
        let empty = |count: &AtomicU32| match count.load(Ordering::Relaxed) {
            0 => 0,
            _ => count.swap(0, Ordering::Relaxed),
        };
        let counts: Vec<u32> = self.0.iter().map(empty).collect();
        let total = counts.iter().map(|&count| u64::from(count)).sum();
        Counts { counts, total }
    }
}

impl Counts {
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The latency that the share `quantile` of the calls did not exceed, evenly spread
    /// inside a bucket. `None` if there were no calls.
    #[expect(clippy::cast_precision_loss, reason = "a count of calls in a window")]
    pub(super) fn quantile(&self, quantile: f64) -> Option<Duration> {
        let rank = quantile * self.total as f64;
        let mut below = 0.0;
        for (index, &count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let count = f64::from(count);
            if rank <= below + count {
                let (low, width) = bounds(index);
                let units = low as f64 + width as f64 * ((rank - below) / count);
                return Some(Duration::from_nanos(1 << UNIT_LOG).mul_f64(units));
            }
            below += count;
        }
        None
    }
}

/// The first octaves have as many units as buckets.
fn bucket(units: u64) -> usize {
    let units = units.min((1 << LONGEST_LOG) - 1);
    let shift = (units | PARTS as u64).ilog2() - PARTS_LOG;
    let part = usize::try_from(units >> shift).expect("it is below twice PARTS");
    shift as usize * PARTS + part
}

/// Where a bucket begins and how wide it is, in units.
fn bounds(bucket: usize) -> (u64, u64) {
    let shift = (bucket / PARTS).saturating_sub(1);
    (((bucket - shift * PARTS) as u64) << shift, 1 << shift)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_have_no_gaps() {
        let mut next = 0;
        for index in 0..BUCKETS {
            let (low, width) = bounds(index);
            assert_eq!((low, bucket(low), bucket(low + width - 1)), (next, index, index));
            next = low + width;
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn taking_empties_it() {
        let histogram = Histogram::new();
        histogram.record(Duration::from_millis(1));

        assert_eq!((histogram.total(), histogram.take().total()), (1, 1));
        assert_eq!((histogram.total(), histogram.take().total()), (0, 0));
        assert_eq!(histogram.take().quantile(0.9), None);
    }

    proptest! {
        #[test]
        fn a_quantile_is_right_to_four_percent(
            mut micros in proptest::collection::vec(50_u64..10_000_000, 1..300),
        ) {
            let histogram = Histogram::new();
            for &micros in &micros {
                histogram.record(Duration::from_micros(micros));
            }
            micros.sort_unstable();
            let exact = micros[(micros.len() * 9).div_ceil(10) - 1];

            let found = histogram.take().quantile(0.9).unwrap().as_secs_f64() * 1e6;

            #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
            let ratio = found / exact as f64;
            prop_assert!((0.96..1.04).contains(&ratio), "{found} instead of {exact}");
        }
    }
}
