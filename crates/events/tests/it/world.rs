//! A publisher and its consumers, each with a database of its own.

mod kept;

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
use trellis_events::Event;
use trellis_events::bus::{Bus, Direct, Subscriber};
use trellis_events::consumer::{self, Failure, Handler};
use trellis_events::outbox::Outbox;
use trellis_events::relay::{BacklogGauge, Progress, Relay};
use trellis_storage::{Error, Faults};
use trellis_telemetry::Metrics;
use trellis_testkit::Postgres;

use kept::Kept;

pub(crate) const CONFIRMED: &str = "order.confirmed";
pub(crate) const CANCELLED: &str = "order.cancelled";

pub(crate) fn clock() -> ManualClock {
    ManualClock::new(datetime!(2026-11-22 10:00 UTC))
}

pub(crate) fn event(clock: &ManualClock, kind: &'static str, subject: &str) -> Event {
    let payload = pb::OrderConfirmed { order_id: subject.to_owned(), ..Default::default() };
    trellis_events::event(clock.now(), Bucket::random(), kind, subject, &payload)
}

/// A service that tells of its changes.
pub(crate) struct Publisher {
    pub(crate) database: Kept,
    pub(crate) outbox: Arc<dyn Outbox>,
    pub(crate) clock: ManualClock,
    pub(crate) metrics: Metrics,
}

impl Publisher {
    pub(crate) async fn open(folder: &Path, clock: &ManualClock, faults: &Faults) -> Self {
        Self::of(Kept::open(folder, "publisher", faults).await, clock)
    }

    /// For a test whose time is stopped.
    pub(crate) async fn in_file(folder: &Path, clock: &ManualClock) -> Self {
        Self::of(Kept::file(folder, "publisher.db", &Faults::default()).await, clock)
    }

    fn of(database: Kept, clock: &ManualClock) -> Self {
        let (outbox, metrics) = (database.outbox(), Metrics::default());
        Self { outbox, database, clock: clock.clone(), metrics }
    }

    pub(crate) async fn append(&self, event: Event) -> Result<(), Error> {
        self.database.append(vec![event], Ok(())).await?;
        self.outbox.wake();
        Ok(())
    }

    pub(crate) async fn tell(&self, kind: &'static str, subjects: &[&str]) {
        let events = subjects.iter().map(|subject| event(&self.clock, kind, subject)).collect();
        self.database.append(events, Ok(())).await.unwrap();
    }

    pub(crate) fn relay(&self, bus: &Direct) -> Relay {
        self.relay_over(Arc::new(bus.clone()))
    }

    pub(crate) fn relay_over(&self, bus: Arc<dyn Bus>) -> Relay {
        let (outbox, clock) = (Arc::clone(&self.outbox), Arc::new(self.clock.clone()));
        Relay::new("publisher", outbox, bus, clock, &self.metrics)
    }

    pub(crate) fn backlog_gauge(&self) -> BacklogGauge {
        let (outbox, clock) = (Arc::clone(&self.outbox), Arc::new(self.clock.clone()));
        BacklogGauge::new("publisher", outbox, clock, &self.metrics)
    }

    /// What the rows of the outbox are about, oldest first.
    pub(crate) async fn subjects(&self) -> Vec<String> {
        self.database.texts("SELECT subject FROM outbox ORDER BY sequence").await
    }

    /// The attempts counted so far, the time of the next one, and whether it is published.
    pub(crate) async fn row(&self, subject: &'static str) -> (u32, OffsetDateTime, bool) {
        self.database.outbox_row(subject).await
    }
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
    pub(crate) database: Kept,
    pub(crate) metrics: Metrics,
    clock: ManualClock,
    moods: Arc<Mutex<Vec<(String, Mood)>>>,
    handled: watch::Sender<usize>,
    away: Arc<AtomicBool>,
}

impl Consumer {
    pub(crate) async fn open(
        folder: &Path,
        name: &'static str,
        clock: &ManualClock,
        faults: &Faults,
    ) -> Self {
        Self::of(Kept::open(folder, name, faults).await, name, clock)
    }

    /// One whose database is on a server of the test's own.
    pub(crate) async fn on(server: &Postgres, name: &'static str, clock: &ManualClock) -> Self {
        let url = server.database().await.parse().unwrap();
        Self::of(Kept::at(url, &Faults::default()).await, name, clock)
    }

    fn of(database: Kept, name: &'static str, clock: &ManualClock) -> Self {
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

    /// How many handlings came to their effect so far.
    pub(crate) fn handlings(&self) -> usize {
        *self.handled.borrow()
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
        self.transport_to(Arc::new(self.clone()))
    }

    /// The way to another handler of this consumer's.
    pub(crate) fn transport_to(&self, handler: Arc<dyn Handler>) -> Transport {
        let (letters, clock) = (self.database.dead_letters(), Arc::new(self.clock.clone()));
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
        self.database.texts("SELECT subject FROM effects ORDER BY subject").await
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
        self.database.apply(self.name, event, self.clock.now()).await?;
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
    pub(crate) async fn new() -> Self {
        let (folder, clock, faults) = (tempfile::tempdir().unwrap(), clock(), Faults::default());
        let publisher = Publisher::open(folder.path(), &clock, &faults).await;
        let consumer = Consumer::open(folder.path(), "consumer", &clock, &faults).await;
        let bus = Direct::default();
        bus.connect(vec![consumer.subscribe(&[CONFIRMED])]);
        let relay = publisher.relay(&bus);
        Self { clock, publisher, consumer, bus, relay, _folder: folder }
    }
}
