//! What was done, how long it took, and how it ended.

mod table;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

pub(crate) use table::{Column, Table, grouped};

/// Longer times are counted as this one.
const LONGEST: Duration = Duration::from_hours(1);

/// Counts from many tasks at once.
#[derive(Debug)]
pub(crate) struct Statistics {
    /// In the order in which they are shown.
    steps: Vec<(&'static str, Mutex<Step>)>,
    retries: Mutex<BTreeMap<String, u64>>,
}

/// How long a step took, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Timing {
    pub(crate) count: u64,
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

#[derive(Debug)]
struct Step {
    /// In microseconds.
    times: Histogram<u64>,
    outcomes: BTreeMap<String, u64>,
}

impl Statistics {
    /// Counts these steps.
    pub(crate) fn new(steps: &[&'static str]) -> Self {
        let steps = steps.iter().map(|&name| (name, Mutex::new(Step::new()))).collect();
        Self { steps, retries: Mutex::default() }
    }

    /// Counts a step with its time.
    pub(crate) fn record(&self, step: &'static str, took: Duration, outcome: &str) {
        if let Some(mut step) = self.step(step) {
            step.times.saturating_record(micros(took));
            step.end(outcome);
        }
    }

    /// Counts a step that took no time worth a figure.
    pub(crate) fn note(&self, step: &'static str, outcome: &str) {
        if let Some(mut step) = self.step(step) {
            step.end(outcome);
        }
    }

    /// Counts a call that is made again; `why` is what it was answered.
    pub(crate) fn retry(&self, why: String) {
        *lock(&self.retries).entry(why).or_default() += 1;
    }

    /// How often a step ended in some way.
    pub(crate) fn count(&self, step: &'static str, outcome: &str) -> u64 {
        let count = |step: MutexGuard<'_, Step>| step.outcomes.get(outcome).copied();
        self.step(step).and_then(count).unwrap_or_default()
    }

    /// How often a step ended in each way.
    pub(crate) fn outcomes_of(&self, step: &'static str) -> BTreeMap<String, u64> {
        self.step(step).map(|step| step.outcomes.clone()).unwrap_or_default()
    }

    /// How long a step took.
    pub(crate) fn timing(&self, step: &'static str) -> Timing {
        let times = self.step(step).map(|step| step.times.clone());
        Timing::of(&times.unwrap_or_else(histogram))
    }

    /// The times of every step that was taken.
    pub(crate) fn timings(&self) -> Table {
        let mut table = Table::new(&[
            Column::Text("step"),
            Column::Number("count"),
            Column::Number("p50 ms"),
            Column::Number("p95 ms"),
            Column::Number("p99 ms"),
            Column::Number("max ms"),
        ]);
        for (name, step) in &self.steps {
            let Timing { count, p50, p95, p99, max } = Timing::of(&lock(step).times);
            if 0 < count {
                let times = [p50, p95, p99, max].map(|time| format!("{time:.1}"));
                table.row([(*name).to_owned(), grouped(count)].into_iter().chain(times));
            }
        }
        table
    }

    /// How every step ended, the most frequent way first.
    pub(crate) fn outcomes(&self) -> Table {
        let mut table =
            Table::new(&[Column::Text("step"), Column::Text("outcome"), Column::Number("count")]);
        for (name, step) in &self.steps {
            for (outcome, count) in by_count(&lock(step).outcomes) {
                table.row([(*name).to_owned(), outcome, grouped(count)]);
            }
        }
        table
    }

    /// Why calls were made again.
    pub(crate) fn retries(&self) -> Table {
        let mut table = Table::new(&[Column::Text("made again after"), Column::Number("count")]);
        for (why, count) in by_count(&lock(&self.retries)) {
            table.row([why, grouped(count)]);
        }
        table
    }

    fn step(&self, wanted: &'static str) -> Option<MutexGuard<'_, Step>> {
        self.steps.iter().find(|(name, _)| *name == wanted).map(|(_, step)| lock(step))
    }
}

impl Timing {
    fn of(times: &Histogram<u64>) -> Self {
        let quantile = |q| millis(times.value_at_quantile(q));
        Self {
            count: times.len(),
            p50: quantile(0.50),
            p95: quantile(0.95),
            p99: quantile(0.99),
            max: millis(times.max()),
        }
    }
}

impl Step {
    fn new() -> Self {
        Self { times: histogram(), outcomes: BTreeMap::new() }
    }

    fn end(&mut self, outcome: &str) {
        // Nearly always it is there, and needs no new string.
        match self.outcomes.get_mut(outcome) {
            Some(count) => *count += 1,
            None => drop(self.outcomes.insert(outcome.to_owned(), 1)),
        }
    }
}

/// Three digits of what it is told are kept.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(micros(LONGEST), 3).expect("an hour in microseconds is a good maximum")
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "a few digits are shown of up to an hour")]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}

fn by_count(counts: &BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let mut counts: Vec<_> = counts.iter().map(|(name, &count)| (name.clone(), count)).collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_ends_are_counted_by_step() {
        let statistics = Statistics::new(&["checkout", "cancel"]);
        for took in 1..=100 {
            statistics.record("checkout", Duration::from_millis(took), "CONFIRMED");
        }
        statistics.record("checkout", Duration::from_millis(5), "OUT_OF_STOCK");
        statistics.note("cancel", "no matching order");

        let timing = statistics.timing("checkout");
        assert_eq!(timing.count, 101);
        assert!((49.0..=51.0).contains(&timing.p50), "{timing:?}");
        assert!((99.9..=100.1).contains(&timing.max), "{timing:?}");
        assert_eq!(statistics.count("checkout", "CONFIRMED"), 100);
        assert_eq!(statistics.timing("cancel").count, 0);
        assert_eq!(statistics.count("cancel", "no matching order"), 1);
    }

    #[test]
    fn only_what_happened_is_shown_and_the_most_frequent_first() {
        let statistics = Statistics::new(&["sign-up", "checkout"]);
        statistics.record("checkout", Duration::from_secs(1), "A");
        statistics.record("checkout", Duration::from_hours(2), "B");
        statistics.record("checkout", Duration::from_secs(1), "B");
        statistics.retry("UNAVAILABLE".into());

        let outcomes =
            "step      outcome  count\ncheckout  B            2\ncheckout  A            1";
        assert_eq!(statistics.outcomes().to_string(), outcomes);
        assert!(!statistics.timings().to_string().contains("sign-up"));
        assert_eq!(
            statistics.retries().to_string(),
            "made again after  count\nUNAVAILABLE           1"
        );
    }
}
