//! What came of a replay.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tonic::Status;
use trellis_api::error::reason;

use super::{CHECKOUT, WATCH};
use crate::commands::say;
use crate::session::label;
use crate::statistics::{Column, Statistics, Table, grouped};

/// How many failures are shown.
const EXAMPLES: usize = 10;

/// Counts invoices from many lanes at once.
#[derive(Debug, Default)]
pub(super) struct Report(Mutex<Counts>);

/// An invoice that found no end.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) invoice: String,
    pub(super) status: Status,
}

#[derive(Debug, Default)]
struct Counts {
    done: u64,
    failed: u64,
    first: Vec<Failure>,
}

impl Report {
    /// An invoice came to its end.
    pub(super) fn done(&self) {
        self.counts().done += 1;
    }

    /// An invoice did not.
    pub(super) fn fail(&self, failure: Failure) {
        let mut counts = self.counts();
        counts.failed += 1;
        if counts.first.len() < EXAMPLES {
            counts.first.push(failure);
        }
    }

    pub(super) fn failed(&self) -> u64 {
        self.counts().failed
    }

    pub(super) fn print(&self, took: Duration, total: usize, statistics: &Statistics) {
        let counts = self.counts();
        let seconds = took.as_secs_f64().max(f64::EPSILON);
        let confirmed =
            statistics.count(CHECKOUT, "CONFIRMED") + statistics.count(WATCH, "CONFIRMED");
        say(&format!(
            "\n{done} of {total} invoices in {seconds:.1} s: {invoices:.1} a second, \
             {orders:.1} confirmed orders a second, {failed} failed",
            done = grouped(counts.done + counts.failed),
            total = grouped(total as u64),
            invoices = per_second(counts.done + counts.failed, seconds),
            orders = per_second(confirmed, seconds),
            failed = grouped(counts.failed),
        ));
        for table in [statistics.timings(), statistics.outcomes(), statistics.retries()] {
            if !table.is_empty() {
                say(&format!("\n{table}"));
            }
        }
        if !counts.first.is_empty() {
            say(&format!("\n{}", failures(&counts.first)));
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failures(failures: &[Failure]) -> Table {
    let mut table = Table::new(&[
        Column::Text("failed invoices"),
        Column::Text("answer"),
        Column::Text("what it means"),
    ]);
    for Failure { invoice, status } in failures {
        table.row([invoice.clone(), label(status), meaning(status)]);
    }
    table
}

fn meaning(status: &Status) -> String {
    match reason(status).as_deref() {
        Some("IDEMPOTENCY_KEY_REUSED") => "replayed before with other --cards or from another \
            file: use the same again, or a shop with empty records"
            .to_owned(),
        Some("INVALID_CREDENTIALS") => {
            "somebody else made the account: use a shop with empty records".to_owned()
        }
        _ => status.message().to_owned(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
fn per_second(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use trellis_api::error;

    use super::*;

    #[test]
    fn a_failure_says_what_to_do() {
        let status = error::status(Code::InvalidArgument, "IDEMPOTENCY_KEY_REUSED", "reused", &[]);

        let table = failures(&[Failure { invoice: "536365".to_owned(), status }]).to_string();

        assert!(table.contains("536365") && table.contains("other --cards"), "{table}");
    }

    #[test]
    fn only_the_first_failures_are_kept_and_all_are_counted() {
        let report = Report::default();
        for _ in 0..100 {
            let status = Status::unavailable("gone");
            report.fail(Failure { invoice: "536365".to_owned(), status });
        }

        assert_eq!(report.failed(), 100);
        assert_eq!(report.counts().first.len(), EXAMPLES);
    }
}
