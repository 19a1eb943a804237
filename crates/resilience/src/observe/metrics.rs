//! The facade towards metrics libraries.

use std::fmt;
use std::sync::Arc;

/// The name of a label and its value. Values come from bounded sets: targets, methods
/// of a table, codes; never ids.
pub type Label = (&'static str, String);

/// Makes the handles that are counted with.
pub trait Metrics: fmt::Debug + Send + Sync {
    /// A handle for what only grows. The same name and labels mean the same counter.
    fn counter(&self, name: &'static str, labels: &[Label]) -> Counter;
    /// The same for what has one value at a time.
    fn gauge(&self, name: &'static str, labels: &[Label]) -> Gauge;
    /// Of durations in seconds, or of plain numbers.
    fn histogram(&self, name: &'static str, labels: &[Label]) -> Histogram;
}

/// Where a counter's steps go.
pub trait CounterSink: fmt::Debug + Send + Sync {
    /// It is called within calls, so it must neither wait nor allocate, as the other
    /// sinks.
    fn add(&self, by: u64);
}

/// Where a gauge's values go.
pub trait GaugeSink: fmt::Debug + Send + Sync {
    /// Replaces the value.
    fn set(&self, value: f64);
}

/// Where a histogram's values go.
pub trait HistogramSink: fmt::Debug + Send + Sync {
    /// Adds one value.
    fn record(&self, value: f64);
}

/// Only grows. The default counts nothing.
#[derive(Clone, Debug, Default)]
pub struct Counter(Option<Arc<dyn CounterSink>>);

/// Has one value at a time. The default keeps nothing.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Option<Arc<dyn GaugeSink>>);

/// Has a distribution of values. The default keeps nothing.
#[derive(Clone, Debug, Default)]
pub struct Histogram(Option<Arc<dyn HistogramSink>>);

/// Takes nothing, at no cost.
#[derive(Clone, Copy, Debug)]
pub struct NoMetrics;

impl Counter {
    pub fn new(sink: Arc<dyn CounterSink>) -> Self {
        Self(Some(sink))
    }

    pub fn increment(&self) {
        self.add(1);
    }

    pub fn add(&self, by: u64) {
        if let Some(sink) = &self.0 {
            sink.add(by);
        }
    }
}

impl Gauge {
    pub fn new(sink: Arc<dyn GaugeSink>) -> Self {
        Self(Some(sink))
    }

    pub fn set(&self, value: f64) {
        if let Some(sink) = &self.0 {
            sink.set(value);
        }
    }

    /// As [`set`](Self::set), to a number of things.
    #[expect(clippy::cast_precision_loss, reason = "nothing here is counted beyond 2⁵³")]
    pub fn set_count(&self, count: usize) {
        self.set(count as f64);
    }
}

impl Histogram {
    pub fn new(sink: Arc<dyn HistogramSink>) -> Self {
        Self(Some(sink))
    }

    pub fn record(&self, value: f64) {
        if let Some(sink) = &self.0 {
            sink.record(value);
        }
    }
}

impl Metrics for NoMetrics {
    fn counter(&self, _: &'static str, _: &[Label]) -> Counter {
        Counter::default()
    }

    fn gauge(&self, _: &'static str, _: &[Label]) -> Gauge {
        Gauge::default()
    }

    fn histogram(&self, _: &'static str, _: &[Label]) -> Histogram {
        Histogram::default()
    }
}
