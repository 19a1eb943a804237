//! What is counted with.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::definition::{Definition, Sort, Unit};
use super::exemplar::{Exemplar, Slot};
use crate::propagation::Remote;

/// The bounds of durations, in seconds: from half a millisecond, which is a look-up,
/// to ten seconds, which is longer than anybody waits.
pub const LATENCY: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Only grows, by whole steps.
#[derive(Clone, Debug)]
pub struct Counter(Arc<AtomicU64>);

/// Only grows, and somebody else keeps it, such as the kernel.
#[derive(Clone, Debug)]
pub struct Total(Arc<AtomicU64>);

/// Has one value at a time.
#[derive(Clone, Debug)]
pub struct Gauge(Arc<AtomicU64>);

/// Has a distribution of values.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Distribution>);

/// One of the above. It is sealed.
pub trait Instrument: Sized {
    #[doc(hidden)]
    const SORT: Sort;

    #[doc(hidden)]
    fn from_cell(cell: Cell) -> Self;
}

/// Where the values of a series are.
#[derive(Clone, Debug)]
pub enum Cell {
    /// A whole number.
    Count(Arc<AtomicU64>),
    /// The bits of a number.
    Value(Arc<AtomicU64>),
    Distribution(Arc<Distribution>),
}

/// The buckets of a histogram.
#[derive(Debug)]
pub struct Distribution {
    bounds: &'static [f64],
    /// One more than there are bounds; each has the values up to its bound and above
    /// the one before.
    buckets: Box<[Bucket]>,
    /// The bits of the sum of all values.
    sum: AtomicU64,
}

#[derive(Debug, Default)]
struct Bucket {
    count: AtomicU64,
    exemplar: Slot,
}

/// A distribution as it was read.
#[derive(Debug)]
pub(super) struct Buckets {
    pub(super) bounds: &'static [f64],
    pub(super) counts: Vec<u64>,
    pub(super) sum: f64,
    pub(super) exemplars: Vec<Option<Exemplar>>,
}

impl Counter {
    /// Names are OpenTelemetry's, with dots.
    pub const fn define<const L: usize>(
        name: &'static str,
        unit: Unit,
        help: &'static str,
        labels: [&'static str; L],
    ) -> Definition<Self, L> {
        Definition { name, unit, help, labels, bounds: &[], sort: PhantomData }
    }

    pub fn increment(&self) {
        self.add(1);
    }

    pub fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }
}

impl Total {
    /// Names are OpenTelemetry's, with dots.
    pub const fn define<const L: usize>(
        name: &'static str,
        unit: Unit,
        help: &'static str,
        labels: [&'static str; L],
    ) -> Definition<Self, L> {
        Definition { name, unit, help, labels, bounds: &[], sort: PhantomData }
    }

    /// Takes over what it has grown to.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
}

impl Gauge {
    /// Names are OpenTelemetry's, with dots.
    pub const fn define<const L: usize>(
        name: &'static str,
        unit: Unit,
        help: &'static str,
        labels: [&'static str; L],
    ) -> Definition<Self, L> {
        Definition { name, unit, help, labels, bounds: &[], sort: PhantomData }
    }

    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// As [`set`](Self::set), to a number of things.
    #[expect(clippy::cast_precision_loss, reason = "nothing here is counted beyond 2⁵³")]
    pub fn set_count(&self, count: impl TryInto<u64>) {
        self.set(count.try_into().unwrap_or(u64::MAX) as f64);
    }
}

impl Histogram {
    /// Of durations, with the bounds of [`LATENCY`].
    pub const fn seconds<const L: usize>(
        name: &'static str,
        help: &'static str,
        labels: [&'static str; L],
    ) -> Definition<Self, L> {
        Self::define(name, Unit::SECONDS, help, LATENCY, labels)
    }

    /// `bounds` are in order, and one that is infinite is added.
    pub const fn define<const L: usize>(
        name: &'static str,
        unit: Unit,
        help: &'static str,
        bounds: &'static [f64],
        labels: [&'static str; L],
    ) -> Definition<Self, L> {
        Definition { name, unit, help, labels, bounds, sort: PhantomData }
    }

    pub fn record(&self, value: f64) {
        self.0.record(value);
    }

    /// In seconds.
    pub fn record_duration(&self, duration: Duration) {
        self.record(duration.as_secs_f64());
    }

    /// As [`record_duration`](Self::record_duration), of something that a trace tells
    /// more of. `span` is asked only when a bucket has no example since it was last read.
    pub fn record_example(&self, duration: Duration, span: impl FnOnce() -> Option<Remote>) {
        let value = duration.as_secs_f64();
        let bucket = self.0.record(value);
        bucket.exemplar.offer(value, span);
    }
}

impl Distribution {
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| Bucket::default()).collect();
        Self { bounds, buckets, sum: AtomicU64::new(0) }
    }

    fn record(&self, value: f64) -> &Bucket {
        let bucket = &self.buckets[self.bounds.iter().take_while(|bound| **bound < value).count()];
        bucket.count.fetch_add(1, Ordering::Relaxed);
        // Many waits are none at all.
        if value != 0.0 {
            let add = |bits| Some((f64::from_bits(bits) + value).to_bits());
            // It is tried again until it succeeds.
            let _ = self.sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        }
        bucket
    }

    pub(super) fn read(&self) -> Buckets {
        let count = |bucket: &Bucket| bucket.count.load(Ordering::Relaxed);
        Buckets {
            bounds: self.bounds,
            counts: self.buckets.iter().map(count).collect(),
            sum: f64::from_bits(self.sum.load(Ordering::Relaxed)),
            exemplars: self.buckets.iter().map(|bucket| bucket.exemplar.read()).collect(),
        }
    }
}

impl Cell {
    pub(super) fn new(sort: Sort, bounds: &'static [f64]) -> Self {
        match sort {
            Sort::Counter => Self::Count(Arc::default()),
            Sort::Total | Sort::Gauge => Self::Value(Arc::default()),
            Sort::Histogram => Self::Distribution(Arc::new(Distribution::new(bounds))),
        }
    }
}

/// What a cell of another sort means for a handle.
const OTHER_SORT: &str = "a family makes cells of its own sort";

impl Instrument for Counter {
    const SORT: Sort = Sort::Counter;

    fn from_cell(cell: Cell) -> Self {
        let Cell::Count(count) = cell else { unreachable!("{OTHER_SORT}") };
        Self(count)
    }
}

impl Instrument for Total {
    const SORT: Sort = Sort::Total;

    fn from_cell(cell: Cell) -> Self {
        let Cell::Value(value) = cell else { unreachable!("{OTHER_SORT}") };
        Self(value)
    }
}

impl Instrument for Gauge {
    const SORT: Sort = Sort::Gauge;

    fn from_cell(cell: Cell) -> Self {
        let Cell::Value(value) = cell else { unreachable!("{OTHER_SORT}") };
        Self(value)
    }
}

impl Instrument for Histogram {
    const SORT: Sort = Sort::Histogram;

    fn from_cell(cell: Cell) -> Self {
        let Cell::Distribution(distribution) = cell else { unreachable!("{OTHER_SORT}") };
        Self(distribution)
    }
}
