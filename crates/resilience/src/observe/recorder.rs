//! Metrics that are kept in memory: for tests, and for a look into a running process.

mod cell;
mod series;

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Counter, Gauge, Histogram, Label, Metrics};

use cell::{Count, Level, Spread};
use series::Series;

pub use cell::Distribution;

/// How many series of each sort a recorder keeps by default.
pub const DEFAULT_LIMIT: usize = 4096;

/// Keeps what is counted. Cheap to clone; all clones are one.
///
/// It keeps a bounded number of series. The labels of what is asked for beyond that are
/// replaced by `other="true"`, which makes one more series for each name;
/// [`folded`](Self::folded) says how often that happened.
///
/// To make handles from it where its type is known, say
/// `Metrics::counter(&recorder, name, labels)`: its own methods read.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    counters: Series<Count>,
    gauges: Series<Level>,
    histograms: Series<Spread>,
}

impl Recorder {
    /// Keeps at most `limit` counters, as many gauges, and as many histograms.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Kept {
            counters: Series::new(limit),
            gauges: Series::new(limit),
            histograms: Series::new(limit),
        }))
    }

    /// The sum of the counters of this name that have all these labels; zero if there
    /// are none.
    pub fn counter(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.0.counters.find(name, labels).map(|count| count.get()).sum()
    }

    /// The sum of the gauges of this name that have all these labels; `None` if there
    /// are none.
    pub fn gauge(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.0.gauges.find(name, labels).map(|level| level.get()).reduce(|sum, value| sum + value)
    }

    /// The histograms of this name that have all these labels, as one; empty if there
    /// are none.
    pub fn histogram(&self, name: &str, labels: &[(&str, &str)]) -> Distribution {
        let found = self.0.histograms.find(name, labels).map(|spread| spread.get());
        found.reduce(Distribution::plus).unwrap_or_default()
    }

    /// How many handles were given labels `other="true"` because there were too many
    /// series.
    pub fn folded(&self) -> u64 {
        self.0.counters.folded() + self.0.gauges.folded() + self.0.histograms.folded()
    }

    /// All that was counted, in a stable order:
    /// `{"counters": {"name": [{"labels": {..}, "value": 1}]}, ..}`. Counters at zero and
    /// empty histograms are left out.
    pub fn snapshot(&self) -> Value {
        let count = |count: &Count| (count.get() > 0).then(|| json!(count.get()));
        let spread = |spread: &Spread| Some(spread.get()).filter(|it| it.count > 0);
        json!({
            "counters": self.0.counters.snapshot(count),
            "gauges": self.0.gauges.snapshot(|level| Some(json!(level.get()))),
            "histograms": self.0.histograms.snapshot(|it| spread(it).map(|it| json!(it))),
            "folded": self.folded(),
        })
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new(DEFAULT_LIMIT)
    }
}

impl Metrics for Recorder {
    fn counter(&self, name: &'static str, labels: &[Label]) -> Counter {
        Counter::new(self.0.counters.get(name, labels))
    }

    fn gauge(&self, name: &'static str, labels: &[Label]) -> Gauge {
        Gauge::new(self.0.gauges.get(name, labels))
    }

    fn histogram(&self, name: &'static str, labels: &[Label]) -> Histogram {
        Histogram::new(self.0.histograms.get(name, labels))
    }
}

#[cfg(test)]
mod tests;
