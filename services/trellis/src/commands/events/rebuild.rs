//! Fills a stream again.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use trellis_chassis::{Clock, Shutdown, SystemClock};
use trellis_events::bus::JetStream;
use trellis_events::outbox::Outbox;
use trellis_events::relay::{self, Rebuild};
use trellis_telemetry::Metrics;

use super::progress::Progress;
use crate::cli::{Since, Teller};
use crate::commands::say;
use crate::config::Config;
use crate::session::finish;
use crate::statistics::{Column, Table, grouped};

/// How often what is left is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How long a relay may take to finish its batch.
const GRACE: Duration = Duration::from_secs(10);
/// What a shell expects of a program that ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// The events of one database.
struct Work {
    name: &'static str,
    outbox: Arc<dyn Outbox>,
    rebuild: Rebuild,
    /// How many there are to make due.
    count: u64,
    /// How many were made due, and of these, how many are published.
    done: Mutex<(u64, u64)>,
}

pub(super) async fn run(
    services: &[Teller],
    since: Option<Since>,
    config: &Config,
) -> anyhow::Result<ExitCode> {
    let broker = super::broker(config);
    if let Some(broker) = &broker {
        let looked = broker.look().await.map_err(anyhow::Error::msg);
        looked.context("the broker of TRELLIS_NATS cannot be asked; nothing was changed")?;
    }
    let work = Arc::new(prepare(services, since, config).await?);
    let count: u64 = work.iter().map(|work| work.count).sum();
    if count == 0 {
        say("no broker was given any of these events; there is nothing to send again");
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!("sending {} events again", grouped(count)));
    let began = Instant::now();
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(fill(Arc::clone(&work), broker.clone(), stop.clone()));
    let interrupted = finish(&mut tasks, &stop).await;
    report(&work, broker.is_some(), began.elapsed());
    Ok(if interrupted? { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
}

async fn prepare(
    services: &[Teller],
    since: Option<Since>,
    config: &Config,
) -> anyhow::Result<Vec<Work>> {
    let since = since.map(|since| since.time(&SystemClock));
    let mut all = Vec::with_capacity(services.len());
    for &service in services {
        let outboxes = service.outboxes(config, false).await.with_context(|| {
            let name = service.name();
            format!("the {name} database cannot be written; if it is a file, stop the shop first")
        })?;
        for (name, outbox) in outboxes {
            let rebuild = Rebuild::new(Arc::clone(&outbox), since, &SystemClock);
            let count = rebuild.count().await?;
            all.push(Work { name, outbox, rebuild, count, done: Mutex::default() });
        }
    }
    Ok(all)
}

/// Makes them due and, over a broker, publishes them. Between two steps it may stop.
async fn fill(
    all: Arc<Vec<Work>>,
    broker: Option<JetStream>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let count = all.iter().map(|work| work.count).sum();
    let mut progress = Progress::start("due", count)?;
    let mut due = 0;
    for work in all.iter() {
        while !stop.is_cancelled() {
            let made = work.rebuild.step().await.context(work.name)?;
            if made == 0 {
                break;
            }
            due += made;
            work.note(|done| done.0 += made);
            progress.reach(due);
        }
    }
    drop(progress);
    let Some(broker) = broker else { return Ok(()) };
    let shutdown = Shutdown::default();
    for work in all.iter() {
        relay(work, &broker, &shutdown);
    }
    let published = publish(&all, due, &stop, &shutdown).await;
    shutdown.request();
    shutdown.finish(GRACE).await?;
    published
}

/// Delivers whenever no other relay does.
fn relay(work: &Work, broker: &JetStream, shutdown: &Shutdown) {
    let name = work.name;
    let bus = Arc::new(broker.publisher(name));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (outbox, metrics) = (Arc::clone(&work.outbox), Metrics::default());
    let run = relay::run(name, outbox, bus, clock, metrics, shutdown.clone());
    shutdown.spawn("events.relay", run);
}

/// Waits until they are published, by whoever does it.
async fn publish(
    all: &[Work],
    due: u64,
    stop: &CancellationToken,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let mut progress = Progress::start("published", due)?;
    loop {
        let (mut published, mut waits) = (0, false);
        for work in all {
            let left = work.rebuild.left().await.context(work.name)?;
            waits |= left.is_some();
            published += work.note(|done| {
                done.1 = done.1.max(done.0.saturating_sub(left.unwrap_or_default()));
                done.1
            });
        }
        progress.reach(published);
        if !waits || stop.is_cancelled() || shutdown.failed() {
            return Ok(());
        }
        tokio::select! {
            () = sleep(LOOK) => {}
            () = stop.cancelled() => {}
        }
    }
}

impl Work {
    fn note<T>(&self, note: impl FnOnce(&mut (u64, u64)) -> T) -> T {
        note(&mut self.done.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn report(all: &[Work], over_broker: bool, took: Duration) {
    let mut table = Table::new(&[
        Column::Text("service"),
        Column::Number("kept"),
        Column::Number("made due"),
        Column::Number("published"),
    ]);
    let mut unfinished = 0;
    for work in all {
        let (due, published) = work.note(|done| *done);
        let shown = if over_broker { grouped(published) } else { "-".to_owned() };
        table.row([work.name.to_owned(), grouped(work.count), grouped(due), shown]);
        unfinished += if over_broker { work.count.saturating_sub(published) } else { 0 };
    }
    say(&table.to_string());
    if !over_broker {
        say("\nTRELLIS_NATS is not set: a shop that runs hands them to its consumers directly");
    } else if 0 < unfinished {
        say(&format!(
            "\n{} are not published yet: the shop publishes what is due; run this again for the rest",
            grouped(unfinished)
        ));
    } else {
        say(&format!("\nall are in the stream, after {:.1} s", took.as_secs_f64()));
    }
}
