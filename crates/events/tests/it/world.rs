//! A publisher and its consumers, each with a database of its own.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use time::OffsetDateTime;
use time::macros::datetime;
use tokio::sync::watch;
use tonic::service::Routes;
use tonic::{Request, Status};
use tower::{ServiceExt as _, service_fn};
use trellis_api::event::v1 as pb;
use trellis_api::event::v1::consumer_service_client::ConsumerServiceClient;
use trellis_api::id::Bucket;
use trellis_chassis::transport::{self, Transport};
use trellis_chassis::{Clock, ManualClock};
use trellis_events::bus::{Direct, Subscriber};
use trellis_events::consumer::{self, Failure, Handler};
use trellis_events::dead_letter::{self, SqliteDeadLetters};
use trellis_events::outbox::{self, SqliteOutbox};
use trellis_events::relay::{BacklogGauge, Progress, Relay};
use trellis_events::{Event, inbox};
use trellis_storage::{Error, Faults, Migration, Options, Sqlite, lease};
use trellis_telemetry::Metrics;

pub(crate) const CONFIRMED: &str = "order.confirmed";
pub(crate) const CANCELLED: &str = "order.cancelled";

const EFFECTS: Migration = Migration {
    name: "effects_0001",
    // No constraint hides an effect that happens twice.
    sql: "CREATE TABLE effects (subject TEXT NOT NULL) STRICT",
};

pub(crate) fn clock() -> ManualClock {
    ManualClock::new(datetime!(2026-11-22 10:00 UTC))
}

pub(crate) fn event(clock: &ManualClock, kind: &'static str, subject: &str) -> Event {
    let payload = pb::OrderConfirmed { order_id: subject.to_owned(), ..Default::default() };
    trellis_events::event(clock.now(), Bucket::random(), kind, subject, &payload)
}

/// A service that tells of its changes.
pub(crate) struct Publisher {
    pub(crate) database: Sqlite,
    pub(crate) outbox: SqliteOutbox,
    pub(crate) clock: ManualClock,
    pub(crate) metrics: Metrics,
}

impl Publisher {
    pub(crate) fn open(folder: &Path, clock: &ManualClock, faults: &Faults) -> Self {
        let options = Options { faults: faults.clone(), ..Options::default() };
        let migrations = [lease::MIGRATION, outbox::MIGRATION];
        let database = Sqlite::open(&folder.join("publisher.db"), &migrations, &options).unwrap();
        let (outbox, metrics) = (SqliteOutbox::new(database.clone()), Metrics::default());
        Self { outbox, database, clock: clock.clone(), metrics }
    }

    pub(crate) async fn append(&self, event: Event) -> Result<(), Error> {
        self.database.write(move |tx| outbox::append(tx, &event)).await?;
        self.outbox.wake();
        Ok(())
    }

    pub(crate) async fn tell(&self, kind: &'static str, subjects: &[&str]) {
        let events: Vec<_> =
            subjects.iter().map(|subject| event(&self.clock, kind, subject)).collect();
        self.database
            .write(move |tx| events.iter().try_for_each(|event| outbox::append(tx, event)))
            .await
            .unwrap();
    }

    pub(crate) fn relay(&self, bus: &Direct) -> Relay {
        let (outbox, clock) = (Arc::new(self.outbox.clone()), Arc::new(self.clock.clone()));
        Relay::new("publisher", outbox, Arc::new(bus.clone()), clock, &self.metrics)
    }

    pub(crate) fn backlog_gauge(&self) -> BacklogGauge {
        let (outbox, clock) = (Arc::new(self.outbox.clone()), Arc::new(self.clock.clone()));
        BacklogGauge::new("publisher", outbox, clock, &self.metrics)
    }

    /// What the rows of the outbox are about, oldest first.
    pub(crate) async fn subjects(&self) -> Vec<String> {
        texts(&self.database, "SELECT subject FROM outbox ORDER BY sequence").await
    }

    /// The attempts counted so far, the time of the next one, and whether it is published.
    pub(crate) async fn row(&self, subject: &'static str) -> (u32, OffsetDateTime, bool) {
        self.database
            .read(move |tx| {
                let row = tx.query_row(
                    "SELECT attempts, next_attempt_time, published_time IS NOT NULL
                       FROM outbox WHERE subject = ?1",
                    [subject],
                    |row| Ok((row.get(0)?, trellis_storage::from_micros(row.get(1)?), row.get(2)?)),
                )?;
                Ok::<_, Error>(row)
            })
            .await
            .unwrap()
    }
}

/// The texts that a query gives.
async fn texts(database: &Sqlite, query: &'static str) -> Vec<String> {
    database
        .read(move |tx| {
            let mut statement = tx.prepare(query)?;
            let rows = statement.query_map((), |row| row.get(0))?;
            Ok::<_, Error>(rows.collect::<Result<_, _>>()?)
        })
        .await
        .unwrap()
}

/// Steps until nothing is due.
pub(crate) async fn drain(relay: &mut Relay) -> Result<(), Error> {
    while relay.step().await? != Progress::Idle {}
    Ok(())
}

/// How a consumer takes an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    Ill,
    Picky,
    Clumsy,
    /// Applies the event but never says so.
    Mute,
    /// Neither applies it nor says so.
    Stuck,
}

/// A service that hears of them.
#[derive(Clone)]
pub(crate) struct Consumer {
    pub(crate) name: &'static str,
    pub(crate) database: Sqlite,
    pub(crate) metrics: Metrics,
    clock: ManualClock,
    moods: Arc<Mutex<Vec<(String, Mood)>>>,
    handled: watch::Sender<usize>,
    away: Arc<AtomicBool>,
}

impl Consumer {
    pub(crate) fn open(
        folder: &Path,
        name: &'static str,
        clock: &ManualClock,
        faults: &Faults,
    ) -> Self {
        let options = Options { faults: faults.clone(), ..Options::default() };
        let migrations = [inbox::MIGRATION, dead_letter::MIGRATION, EFFECTS];
        let path = folder.join(name).with_extension("db");
        let database = Sqlite::open(&path, &migrations, &options).unwrap();
        Self {
            name,
            database,
            metrics: Metrics::default(),
            clock: clock.clone(),
            moods: Arc::default(),
            handled: watch::Sender::default(),
            away: Arc::default(),
        }
    }

    /// Decides how events about subjects that begin with `prefix` are taken.
    pub(crate) fn take(&self, prefix: &str, mood: Mood) {
        self.moods.lock().unwrap().insert(0, (prefix.to_owned(), mood));
    }

    pub(crate) fn leave(&self) {
        self.away.store(true, Ordering::Relaxed);
    }

    pub(crate) fn come_back(&self) {
        self.away.store(false, Ordering::Relaxed);
    }

    pub(crate) fn transport(&self) -> Transport {
        let letters = Arc::new(SqliteDeadLetters::new(self.database.clone()));
        let (handler, clock) = (Arc::new(self.clone()), Arc::new(self.clock.clone()));
        let kinds = &[CONFIRMED, CANCELLED];
        let server = consumer::server(self.name, kinds, handler, letters, clock, &self.metrics);
        let (road, away) = (transport::local(Routes::new(server)), Arc::clone(&self.away));
        Transport::new(service_fn(move |request| {
            let (road, away) = (road.clone(), away.load(Ordering::Relaxed));
            async move {
                if away {
                    return Err(Status::unavailable("nobody is at home"));
                }
                road.oneshot(request).await
            }
        }))
    }

    pub(crate) fn client(&self) -> ConsumerServiceClient<Transport> {
        ConsumerServiceClient::new(self.transport())
    }

    pub(crate) fn subscribe(&self, kinds: &'static [&'static str]) -> Subscriber {
        Subscriber { consumer: self.name, kinds, transport: self.transport() }
    }

    /// The subjects whose events took effect, sorted.
    pub(crate) async fn effects(&self) -> Vec<String> {
        texts(&self.database, "SELECT subject FROM effects ORDER BY subject").await
    }

    /// The dead letters: subject, attempts and error.
    pub(crate) async fn dead_letters(&self) -> Vec<(String, i32, String)> {
        let request = Request::new(pb::ListDeadLettersRequest { page_size: 100 });
        let letters = self.client().list_dead_letters(request).await.unwrap().into_inner();
        let read =
            |letter: pb::DeadLetter| (letter.event.unwrap().subject, letter.attempts, letter.error);
        letters.dead_letters.into_iter().map(read).collect()
    }

    /// Waits until so many handlings came to their effect.
    pub(crate) async fn handled(&self, count: usize) {
        self.handled.subscribe().wait_for(|handled| count <= *handled).await.unwrap();
    }

    fn mood(&self, subject: &str) -> Mood {
        let moods = self.moods.lock().unwrap();
        let mood = moods.iter().find(|(prefix, _)| subject.starts_with(prefix));
        mood.map_or(Mood::Well, |(_, mood)| *mood)
    }

    async fn apply(&self, event: &Event) -> Result<(), Failure> {
        let (consumer, event, now) = (self.name, event.clone(), self.clock.now());
        self.database
            .write(move |tx| {
                if inbox::admit(tx, consumer, &event.event_id, now)? {
                    tx.execute("INSERT INTO effects VALUES (?1)", [&event.subject])?;
                }
                Ok::<_, Error>(())
            })
            .await?;
        self.handled.send_modify(|handled| *handled += 1);
        Ok(())
    }
}

#[async_trait::async_trait]
impl Handler for Consumer {
    async fn handle(&self, event: &Event) -> Result<(), Failure> {
        match self.mood(&event.subject) {
            Mood::Well => self.apply(event).await,
            Mood::Ill => Err(Failure::Transient("not feeling well".to_owned())),
            Mood::Picky => Err(Failure::Permanent("not to my taste".to_owned())),
            Mood::Clumsy => panic!("dropped it"),
            Mood::Mute => {
                self.apply(event).await?;
                std::future::pending().await
            }
            Mood::Stuck => std::future::pending().await,
        }
    }
}

/// A publisher and one consumer of confirmed orders, connected.
pub(crate) struct Pair {
    pub(crate) clock: ManualClock,
    pub(crate) publisher: Publisher,
    pub(crate) consumer: Consumer,
    pub(crate) bus: Direct,
    pub(crate) relay: Relay,
    _folder: tempfile::TempDir,
}

impl Pair {
    pub(crate) fn new() -> Self {
        let (folder, clock, faults) = (tempfile::tempdir().unwrap(), clock(), Faults::default());
        let publisher = Publisher::open(folder.path(), &clock, &faults);
        let consumer = Consumer::open(folder.path(), "consumer", &clock, &faults);
        let bus = Direct::default();
        bus.connect(vec![consumer.subscribe(&[CONFIRMED])]);
        let relay = publisher.relay(&bus);
        Self { clock, publisher, consumer, bus, relay, _folder: folder }
    }
}
