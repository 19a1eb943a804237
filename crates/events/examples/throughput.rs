//! How many events go from an outbox in Postgres over JetStream to a consumer with an inbox
//! in Postgres, and how long one takes.
//!
//! `throughput PUBLISHER_URL CONSUMER_URL NATS_URL [EVENTS] [RATE] [SECONDS]`, on two empty
//! databases and a server without streams. Prints one JSON object. First EVENTS wait, and
//! are relayed by one relay while nobody listens, and then heard by one process; then RATE
//! of them happen each second, relayed and heard at once. The first [`WARM_UP`] seconds of
//! that, in which both connect, do not count.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use futures::future::try_join_all;
use hdrhistogram::Histogram;
use time::OffsetDateTime;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tonic::service::Routes;
use trellis_api::event::v1 as pb;
use trellis_api::id::Bucket;
use trellis_chassis::{Clock as _, Shutdown, SystemClock, transport};
use trellis_events::bus::{JetStream, Options as BusOptions, Subscriber};
use trellis_events::consumer::{self, Failure, Handler};
use trellis_events::dead_letter::{self, PostgresDeadLetters};
use trellis_events::outbox::{self, Outbox as _, PostgresOutbox};
use trellis_events::{Event, inbox, relay};
use trellis_storage::lease::postgres as lease;
use trellis_storage::{Error, Migration, Options, Postgres, Tx, Url};
use trellis_telemetry::Metrics;

const KIND: &str = "order.confirmed";
/// Events that are told in one unit of work before the clock runs.
const CHUNK: usize = 500;
/// Seconds before delays count.
const WARM_UP: u32 = 2;
/// How often what is left is looked at.
const LOOK: Duration = Duration::from_millis(20);
const GRACE: Duration = Duration::from_secs(20);

const PUBLISHER: &[Migration] =
    &[lease::MIGRATION, outbox::postgres::MIGRATION, outbox::postgres::RECEIPTS];
const CONSUMER: &[Migration] = &[
    inbox::postgres::MIGRATION,
    dead_letter::postgres::MIGRATION,
    Migration { name: "effects_0001", sql: "CREATE TABLE effects (subject text NOT NULL)" },
];

/// Everything but the servers, in one process.
struct Scene {
    publisher: Postgres,
    outbox: PostgresOutbox,
    consumer: Postgres,
    nats: BusOptions,
    heard: Arc<Heard>,
}

/// What a consumer has applied, and when: event `n` of a rate is at its place `n`.
struct Heard {
    count: AtomicUsize,
    times: Vec<OnceLock<Instant>>,
}

/// Applies an event in the unit of work of its inbox.
struct Apply {
    database: Postgres,
    heard: Arc<Heard>,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
async fn main() -> anyhow::Result<()> {
    const USAGE: &str = "throughput PUBLISHER_URL CONSUMER_URL NATS_URL [EVENTS] [RATE] [SECONDS]";
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next();
    let urls = (next().context(USAGE)?, next().context(USAGE)?, next().context(USAGE)?);
    let mut number = |default| next().map_or(Ok(default), |text| text.parse::<u32>());
    let (events, rate, seconds) = (number(100_000)?, number(500)?, number(10)?);
    let paced = (rate * (WARM_UP + seconds)) as usize;

    let scene = Scene::open(&urls.0, &urls.1, &urls.2, paced).await?;
    scene.fill(events as usize).await?;
    let relayed = scene.relayed().await?;
    let heard = scene.heard(events as usize).await?;
    let delays = scene.paced(rate, paced, events as usize).await?;

    let rate_of = |took: Duration| f64::from(events) / took.as_secs_f64();
    let at = |quantile| {
        Duration::from_micros(delays.value_at_quantile(quantile)).as_secs_f64() * 1_000.0
    };
    println!(
        "{{\"events\":{events},\"relayed_per_second\":{:.0},\"heard_per_second\":{:.0},\
         \"rate\":{rate},\"delay_p50_ms\":{:.1},\"delay_p99_ms\":{:.1},\"delay_max_ms\":{:.1}}}",
        rate_of(relayed),
        rate_of(heard),
        at(0.5),
        at(0.99),
        at(1.0),
    );
    Ok(())
}

impl Scene {
    async fn open(
        publisher: &str,
        consumer: &str,
        nats: &str,
        paced: usize,
    ) -> anyhow::Result<Self> {
        let publisher = database(publisher, PUBLISHER).await?;
        let consumer = database(consumer, CONSUMER).await?;
        let times = (0..paced).map(|_| OnceLock::new()).collect();
        let heard = Arc::new(Heard { count: AtomicUsize::new(0), times });
        let (outbox, nats) =
            (PostgresOutbox::new(publisher.clone()), BusOptions::new(nats.parse()?));
        Ok(Self { publisher, outbox, consumer, nats, heard })
    }

    /// Lets so many events wait.
    async fn fill(&self, count: usize) -> anyhow::Result<()> {
        let chunks = (0..count).step_by(CHUNK).map(|start| async move {
            let events: Vec<Event> =
                (start..count.min(start + CHUNK)).map(|_| event("waiting")).collect();
            self.publisher.write(|tx| append(tx, &events)).await
        });
        let mut chunks = chunks.collect::<Vec<_>>().into_iter().peekable();
        while chunks.peek().is_some() {
            try_join_all(chunks.by_ref().take(4)).await?;
        }
        Ok(())
    }

    fn relay(&self, shutdown: &Shutdown) {
        let metrics = Metrics::default();
        let bus = Arc::new(JetStream::new(self.nats.clone(), &metrics).publisher("order"));
        let (outbox, clock) = (Arc::new(self.outbox.clone()), Arc::new(SystemClock));
        let run = relay::run("order", outbox, bus, clock, metrics, shutdown.clone());
        shutdown.spawn("throughput.relay", run);
    }

    fn listen(&self, shutdown: &Shutdown) {
        let metrics = Metrics::default();
        let letters = Arc::new(PostgresDeadLetters::new(self.consumer.clone()));
        let apply = Apply { database: self.consumer.clone(), heard: Arc::clone(&self.heard) };
        let (handler, clock) = (Arc::new(apply), Arc::new(SystemClock));
        let server = consumer::server("reader", &[KIND], handler, letters, clock, &metrics);
        let transport = transport::local(Routes::new(server));
        let subscriber = Subscriber { consumer: "reader", kinds: &[KIND], transport };
        let consume =
            JetStream::new(self.nats.clone(), &metrics).consume(subscriber, shutdown.clone());
        shutdown.spawn("throughput.consumer", consume);
    }

    /// How long one relay needs for all that waits.
    async fn relayed(&self) -> anyhow::Result<Duration> {
        let (began, shutdown) = (Instant::now(), Shutdown::default());
        self.relay(&shutdown);
        while self.outbox.backlog().await?.count != 0 {
            sleep(LOOK).await;
        }
        let took = began.elapsed();
        shutdown.request();
        shutdown.finish(GRACE).await?;
        Ok(took)
    }

    /// How long one consumer needs for so many.
    async fn heard(&self, count: usize) -> anyhow::Result<Duration> {
        let (began, shutdown) = (Instant::now(), Shutdown::default());
        self.listen(&shutdown);
        self.wait_for(count).await;
        let took = began.elapsed();
        shutdown.request();
        shutdown.finish(GRACE).await?;
        Ok(took)
    }

    async fn wait_for(&self, count: usize) {
        while self.heard.count.load(Ordering::Relaxed) < count {
            sleep(LOOK).await;
        }
    }

    /// From the commit of an event to that of its effect, in microseconds.
    async fn paced(
        &self,
        rate: u32,
        count: usize,
        before: usize,
    ) -> anyhow::Result<Histogram<u64>> {
        let shutdown = Shutdown::default();
        self.relay(&shutdown);
        self.listen(&shutdown);
        let mut ticks = interval(Duration::from_secs(1) / rate);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut tells = JoinSet::new();
        for number in 0..count {
            ticks.tick().await;
            let (publisher, outbox) = (self.publisher.clone(), self.outbox.clone());
            tells.spawn(async move {
                let events = [event(&number.to_string())];
                publisher.write(|tx| append(tx, &events)).await?;
                let committed = Instant::now();
                outbox.wake();
                Ok::<_, Error>((number, committed))
            });
        }
        self.wait_for(before + count).await;
        let mut delays = Histogram::new(3)?;
        while let Some(told) = tells.join_next().await {
            let (number, committed) = told??;
            if number < (rate * WARM_UP) as usize {
                continue;
            }
            let heard = self.heard.times[number].get().context("an event was not heard")?;
            let delay = heard.saturating_duration_since(committed);
            // Not `saturating_record`, which keeps within what the histogram can hold so far.
            delays.record(u64::try_from(delay.as_micros())?)?;
        }
        shutdown.request();
        shutdown.finish(GRACE).await?;
        Ok(delays)
    }
}

async fn database(url: &str, migrations: &[Migration]) -> anyhow::Result<Postgres> {
    let Url::Postgres(url) = url.parse()? else { anyhow::bail!("{url} is no Postgres") };
    Ok(Postgres::open(&url, migrations, &Options::default()).await?)
}

fn event(subject: &str) -> Event {
    let payload = pb::OrderConfirmed { order_id: "x".repeat(200), ..Default::default() };
    trellis_events::event(SystemClock.now(), Bucket::random(), KIND, subject, &payload)
}

async fn append(mut tx: Tx, events: &[Event]) -> Result<(), Error> {
    for event in events {
        outbox::postgres::append(&mut tx, event).await?;
    }
    Ok(())
}

#[async_trait::async_trait]
impl Handler for Apply {
    async fn handle(&self, event: &Event) -> Result<(), Failure> {
        let now = SystemClock.now();
        let is_new = self.database.write(|tx| apply(tx, event, now)).await?;
        if is_new {
            if let Some(time) =
                event.subject.parse().ok().and_then(|n: usize| self.heard.times.get(n))
            {
                let _ = time.set(Instant::now());
            }
            self.heard.count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

async fn apply(mut tx: Tx, event: &Event, now: OffsetDateTime) -> Result<bool, Error> {
    let is_new = inbox::postgres::admit(&mut tx, "reader", &event.event_id, now).await?;
    if is_new {
        let effect = sqlx::query("INSERT INTO effects VALUES ($1)").bind(&event.subject);
        effect.execute(&mut *tx).await?;
    }
    Ok(is_new)
}
