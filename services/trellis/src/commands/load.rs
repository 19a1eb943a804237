//! Makes a steady synthetic load through the public API, and measures it.
//!
//! The loop is closed: a caller makes its next call when it has the answer to the
//! last one, so a slow shop is asked less often.

mod caller;
mod setup;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::caller::{Caller, GOOD, STEP, Window};
use super::say;
use crate::cli::{Load, Scenario};
use crate::session::{Shop, finish};
use crate::statistics::{Statistics, Timing, grouped};

/// Connections, caches and threads settle in this time.
const WARM_UP: Duration = Duration::from_secs(2);

/// What was measured, in the form that scripts read.
#[derive(Debug, Serialize)]
struct Summary {
    scenario: &'static str,
    concurrency: u16,
    /// How long it was measured, without the warm-up.
    seconds: f64,
    /// How many calls had the end that was meant.
    operations: u64,
    per_second: f64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    /// How many calls ended in another way.
    errors: u64,
    outcomes: BTreeMap<String, u64>,
}

pub(super) async fn run(load: Load) -> anyhow::Result<ExitCode> {
    let callers = usize::from(load.concurrency);
    let statistics = Arc::new(Statistics::new(&[STEP]));
    let shops = Shop::connect(&load.shop.endpoint, callers, Duration::ZERO, &statistics)?;
    let goods = setup::goods(&shops[0], load.scenario).await?;
    let sessions = match load.scenario {
        Scenario::Checkout => setup::sign_up(&shops[0], callers).await?,
        Scenario::Product => Vec::new(),
    };
    if !load.json {
        say(&format!(
            "{callers} callers, {} products, {} s after {} s of warm-up",
            grouped(goods.len() as u64),
            load.duration,
            WARM_UP.as_secs(),
        ));
    }

    let window = Window::open(WARM_UP, Duration::from_secs(load.duration));
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let mut sessions = sessions.into_iter().cycle();
    for (index, shop) in (0..callers).zip(shops.iter().cycle()) {
        let caller = Caller {
            shop: shop.clone(),
            goods: Arc::clone(&goods),
            session: sessions.next(),
            // Callers begin far from one another and go round.
            next: index * goods.len() / callers,
            window,
            statistics: Arc::clone(&statistics),
        };
        tasks.spawn(caller.run(load.scenario, stop.clone()));
    }
    let interrupted = finish(&mut tasks, &stop).await?;
    let measured = window.measured(Instant::now());
    anyhow::ensure!(!measured.is_zero(), "stopped in the warm-up: nothing was measured");

    let summary = Summary::new(&load, measured, &statistics);
    print(&summary, load.json)?;
    Ok(match (interrupted, summary.operations) {
        (true, _) => ExitCode::from(130),
        (false, 0) => ExitCode::FAILURE,
        (false, _) => ExitCode::SUCCESS,
    })
}

impl Summary {
    fn new(load: &Load, measured: Duration, statistics: &Statistics) -> Self {
        let Timing { count, p50, p95, p99, max } = statistics.timing(STEP);
        let outcomes = statistics.outcomes_of(STEP);
        let seconds = measured.as_secs_f64();
        Self {
            scenario: match load.scenario {
                Scenario::Checkout => "checkout",
                Scenario::Product => "product",
            },
            concurrency: load.concurrency,
            seconds,
            operations: count,
            per_second: per_second(count, seconds),
            p50_ms: p50,
            p95_ms: p95,
            p99_ms: p99,
            max_ms: max,
            errors: outcomes.iter().filter(|(name, _)| *name != GOOD).map(|(_, count)| count).sum(),
            outcomes,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate of less than 2^53 a run")]
fn per_second(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

fn print(summary: &Summary, json: bool) -> anyhow::Result<()> {
    if json {
        say(&serde_json::to_string(summary)?);
        return Ok(());
    }
    let Summary { scenario, operations, per_second, seconds, errors, .. } = summary;
    let Summary { p50_ms, p95_ms, p99_ms, max_ms, .. } = summary;
    say(&format!(
        "\n{scenario}: {per_second:.1} operations a second ({} in {seconds:.1} s), {} errors\n\
         p50 {p50_ms:.2} ms, p95 {p95_ms:.2} ms, p99 {p99_ms:.2} ms, max {max_ms:.2} ms",
        grouped(*operations),
        grouped(*errors),
    ));
    for (outcome, count) in &summary.outcomes {
        say(&format!("{:>12}  {outcome}", grouped(*count)));
    }
    if summary.outcomes.keys().any(|outcome| outcome.ends_with("OUT_OF_STOCK")) {
        say("\nthe shelf is empty: put more on it with `trellis import`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn the_summary_tells_what_was_meant_from_what_was_not() {
        let Some(Command::Load(load)) =
            Cli::parse_from(["trellis", "load", "checkout", "--concurrency", "8"]).command
        else {
            panic!("`load` is a command");
        };
        let statistics = Statistics::new(&[STEP]);
        for _ in 0..20 {
            statistics.record(STEP, Duration::from_millis(4), GOOD);
        }
        statistics.note(STEP, "UNAVAILABLE");

        let summary = Summary::new(&load, Duration::from_secs(2), &statistics);

        assert_eq!((summary.operations, summary.errors), (20, 1));
        assert!((summary.per_second - 10.0).abs() < 1e-9);
        let json = serde_json::to_value(&summary).unwrap();
        assert_eq!(json["scenario"], "checkout");
        assert_eq!(json["concurrency"], 8);
        assert_eq!(json["outcomes"]["UNAVAILABLE"], 1);
    }
}
