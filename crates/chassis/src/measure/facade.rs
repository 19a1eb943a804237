//! What the resilience crate counts, in the metrics of the process.

use std::sync::Arc;

use trellis_resilience::observe::{
    Counter, CounterSink, Gauge, GaugeSink, Histogram, HistogramSink, Label, Metrics as Counting,
};
use trellis_telemetry::{Metrics, metrics};

/// Counts for the resilience crate.
#[derive(Clone, Debug)]
pub(crate) struct Facade(pub(crate) Metrics);

#[derive(Debug)]
struct Sink<T>(T);

impl Counting for Facade {
    fn counter(&self, name: &'static str, labels: &[Label]) -> Counter {
        Counter::new(Arc::new(Sink(self.0.named::<metrics::Counter>(name, &borrowed(labels)))))
    }

    fn gauge(&self, name: &'static str, labels: &[Label]) -> Gauge {
        Gauge::new(Arc::new(Sink(self.0.named::<metrics::Gauge>(name, &borrowed(labels)))))
    }

    fn histogram(&self, name: &'static str, labels: &[Label]) -> Histogram {
        Histogram::new(Arc::new(Sink(self.0.named::<metrics::Histogram>(name, &borrowed(labels)))))
    }
}

/// A method is a path there, and has no `/` in front elsewhere.
fn borrowed(labels: &[Label]) -> Vec<(&'static str, &str)> {
    labels.iter().map(|(name, value)| (*name, value.trim_start_matches('/'))).collect()
}

impl CounterSink for Sink<metrics::Counter> {
    fn add(&self, by: u64) {
        self.0.add(by);
    }
}

impl GaugeSink for Sink<metrics::Gauge> {
    fn set(&self, value: f64) {
        self.0.set(value);
    }
}

impl HistogramSink for Sink<metrics::Histogram> {
    fn record(&self, value: f64) {
        self.0.record(value);
    }
}
