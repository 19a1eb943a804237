//! Events over a JetStream server, which is killed, stopped and robbed of its memory.

mod consuming;
mod losing;
mod publishing;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use trellis_chassis::transport::Transport;
use trellis_chassis::{ManualClock, Shutdown};
use trellis_events::bus::{Bus, JetStream, Options, Subscriber};
use trellis_events::{Backoff, relay};
use trellis_storage::Faults;
use trellis_testkit::Nats;

use crate::metrics::value;
use crate::world::{CONFIRMED, Consumer, Publisher, clock};

const GRACE: Duration = Duration::from_secs(20);
/// How long a test waits for what has to come, on a machine that is busy with others.
const PATIENCE: Duration = Duration::from_mins(2);

/// A server, a publisher and a consumer of confirmed orders, which meet nowhere else.
struct Scene {
    nats: Nats,
    clock: ManualClock,
    publisher: Publisher,
    consumer: Consumer,
    shutdown: Shutdown,
    folder: tempfile::TempDir,
}

impl Scene {
    /// `None` where there is no NATS.
    async fn new() -> Option<Self> {
        let nats = Nats::start().await?;
        let (folder, clock, faults) = (tempfile::tempdir().unwrap(), clock(), Faults::default());
        let publisher = Publisher::open(folder.path(), &clock, &faults).await;
        let consumer = Consumer::open(folder.path(), "consumer", &clock, &faults).await;
        Some(Self { nats, clock, publisher, consumer, shutdown: Shutdown::default(), folder })
    }

    /// As a process would connect.
    fn connect(&self) -> JetStream {
        JetStream::new(self.options(), &self.publisher.metrics)
    }

    /// With shorter waits after a refusal than those of a process.
    fn options(&self) -> Options {
        let quick = Backoff { first: Duration::from_millis(1), cap: Duration::from_millis(10) };
        Options { after_refusal: quick, ..Options::new(self.nats.url().parse().unwrap()) }
    }

    /// A bus that is connected.
    async fn bus(&self) -> Arc<dyn Bus> {
        let bus = Arc::new(self.connect().publisher("publisher"));
        bus.ready().await;
        bus
    }

    /// Runs a relay, and lets time pass: what is postponed comes due.
    fn publish(&self) {
        let bus = Arc::new(self.connect().publisher("publisher"));
        let (outbox, clock) = (Arc::clone(&self.publisher.outbox), self.clock.clone());
        let (metrics, shutdown) = (self.publisher.metrics.clone(), self.shutdown.clone());
        let run = relay::run("publisher", outbox, bus, Arc::new(clock.clone()), metrics, shutdown);
        self.shutdown.spawn("test.relay", run);
        let requested = self.shutdown.requested();
        self.shutdown.spawn("test.clock", async move {
            tokio::select! {
                () = requested => Ok(()),
                () = tick(&clock) => Ok(()),
            }
        });
    }

    /// Runs a consumer.
    fn consume(&self) {
        self.consume_over(self.consumer.transport(), self.options());
    }

    fn consume_over(&self, transport: Transport, options: Options) {
        let jetstream = JetStream::new(options, &self.consumer.metrics);
        let consume = jetstream.consume(subscriber(transport), self.shutdown.clone());
        self.shutdown.spawn("test.consumer", consume);
    }

    async fn published(&self) {
        let backlog = async || self.publisher.outbox.backlog().await.unwrap().count;
        until(async || backlog().await == 0).await;
    }

    /// Waits until these events have taken effect, each of them once.
    async fn applied(&self, subjects: &[String]) {
        until(async || subjects.len() <= self.consumer.effects().await.len()).await;
        assert_eq!(self.consumer.effects().await, subjects);
    }

    /// What a consumer of confirmed orders has counted.
    fn counted(&self, name: &str) -> Option<f64> {
        let labels = format!(
            r#"{{messaging_consumer_group_name="consumer",messaging_destination_name="{CONFIRMED}"}}"#
        );
        value(&self.consumer.metrics, &format!("{name}{labels}"))
    }

    fn redeliveries(&self) -> Option<f64> {
        self.counted("trellis_events_redeliveries_total")
    }

    #[expect(clippy::cast_possible_truncation, reason = "it counts what the test sent")]
    fn resent(&self) -> i64 {
        let series = r#"trellis_events_resent_total{outbox="publisher"}"#;
        value(&self.publisher.metrics, series).unwrap() as i64
    }

    async fn end(self) {
        self.shutdown.request();
        self.shutdown.finish(GRACE).await.unwrap();
        self.publisher.database.close().await;
        self.consumer.database.close().await;
        drop(self.folder);
    }
}

fn subscriber(transport: Transport) -> Subscriber {
    Subscriber { consumer: "consumer", kinds: &[CONFIRMED], transport }
}

/// `count` subjects in their order.
fn subjects(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix} {n:04}")).collect()
}

async fn tell(publisher: &Publisher, subjects: &[String]) {
    let subjects: Vec<_> = subjects.iter().map(String::as_str).collect();
    publisher.tell(CONFIRMED, &subjects).await;
    publisher.outbox.wake();
}

async fn tick(clock: &ManualClock) {
    const TICK: Duration = Duration::from_millis(10);
    loop {
        sleep(TICK).await;
        clock.advance(TICK);
    }
}

/// Looks again and again until it is so.
async fn until(is_so: impl AsyncFn() -> bool) {
    let wait = async {
        while !is_so().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("it comes to this");
}
