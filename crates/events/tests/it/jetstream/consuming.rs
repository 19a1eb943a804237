//! How events come out of the stream, and what becomes of them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use trellis_events::bus::{JetStream, Options};
use trellis_events::consumer::{Failure, Handler};
use trellis_events::{Backoff, Event};
use trellis_testkit::Postgres;

use super::{Scene, subjects, subscriber, tell, until};
use crate::metrics::value;
use crate::world::{Consumer, Mood};

/// Publishes events about these.
async fn publish(scene: &Scene, subjects: &[String]) {
    scene.publish();
    tell(&scene.publisher, subjects).await;
    scene.published().await;
}

fn refusals(scene: &Scene) -> Option<f64> {
    let labels = r#"messaging_consumer_group_name="consumer",messaging_destination_name="order.confirmed",error_type="refused""#;
    let series = format!("messaging_process_duration_seconds_count{{{labels}}}");
    value(&scene.consumer.metrics, &series)
}

#[tokio::test]
async fn an_event_takes_effect_once_though_its_consumer_dies_before_it_says_so() {
    let Some(scene) = Scene::new().await else { return };
    publish(&scene, &["order".to_owned()]).await;
    scene.consumer.take("order", Mood::Mute);
    let options = Options { ack_wait: Duration::from_secs(1), ..scene.options() };
    let jetstream = JetStream::new(options.clone(), &scene.consumer.metrics);
    let transport = scene.consumer.transport();
    tokio::select! {
        _ = jetstream.consume(subscriber(transport), scene.shutdown.clone()) => panic!("it goes on"),
        () = scene.consumer.handled(1) => {}
    }

    scene.consumer.take("order", Mood::Well);
    scene.consume_over(scene.consumer.transport(), options);
    scene.consumer.handled(2).await;

    assert_eq!(scene.consumer.effects().await, ["order"]);
    assert_eq!(scene.resent(), 0);
    scene.end().await;
}

#[tokio::test]
async fn poison_becomes_a_dead_letter_at_the_sixth_attempt_and_holds_up_nobody() {
    let Some(scene) = Scene::new().await else { return };
    scene.consumer.take("sick", Mood::Ill);
    let (sick, good) = (subjects("sick", 5), subjects("good", 50));
    publish(&scene, &[sick.clone(), good.clone()].concat()).await;
    scene.consume();

    scene.applied(&good).await;
    until(async || scene.consumer.dead_letters().await.len() == 5).await;

    let mut letters = scene.consumer.dead_letters().await;
    letters.sort();
    let letter = |subject: String| (subject, 6, "not feeling well".to_owned());
    assert_eq!(letters, sick.into_iter().map(letter).collect::<Vec<_>>());
    assert_eq!(scene.redeliveries(), Some(25.0));
    scene.end().await;
}

#[tokio::test]
async fn a_refused_event_does_not_come_back_at_once() {
    let Some(scene) = Scene::new().await else { return };
    scene.consumer.take("", Mood::Ill);
    publish(&scene, &subjects("order", 40)).await;
    let two = Duration::from_secs(2);
    let after_refusal = Backoff { first: two, cap: two };
    let began = Instant::now();
    scene.consume_over(scene.consumer.transport(), Options { after_refusal, ..scene.options() });
    until(async || refusals(&scene).is_some_and(|refusals| 40.0 <= refusals)).await;

    scene.consumer.take("", Mood::Well);
    scene.applied(&subjects("order", 40)).await;

    // The waits are random, up to 2 s: that all of 40 are below 1 s does not happen.
    assert!(Duration::from_secs(1) < began.elapsed(), "{:?}", began.elapsed());
    scene.end().await;
}

/// One of two processes: it waits until the other one has events in hand, too.
struct Process {
    consumer: Consumer,
    number: usize,
    have: watch::Sender<[bool; 2]>,
}

#[async_trait::async_trait]
impl Handler for Process {
    async fn handle(&self, event: &Event) -> Result<(), Failure> {
        self.have.send_modify(|have| have[self.number] = true);
        self.have.subscribe().wait_for(|have| *have == [true, true]).await.unwrap();
        self.consumer.handle(event).await
    }
}

#[tokio::test]
async fn two_processes_share_the_events_of_a_consumer() {
    let Some(scene) = Scene::new().await else { return };
    publish(&scene, &subjects("order", 100)).await;
    let have = watch::Sender::default();
    for number in [0, 1] {
        let consumer = scene.consumer.clone();
        let process = Process { consumer, number, have: have.clone() };
        let transport = scene.consumer.transport_to(Arc::new(process));
        scene.consume_over(transport, scene.options());
    }

    scene.applied(&subjects("order", 100)).await;

    assert_eq!(*have.borrow(), [true, true]);
    scene.end().await;
}

#[tokio::test]
async fn what_is_no_event_is_dropped_and_holds_up_nobody() {
    let Some(scene) = Scene::new().await else { return };
    scene.bus().await;
    let client = async_nats::connect(scene.nats.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    for payload in [&b"\xff"[..], b""] {
        let subject = "ev.stranger.p00.order.confirmed";
        jetstream.publish(subject, payload.into()).await.unwrap().await.unwrap();
    }
    publish(&scene, &["order".to_owned()]).await;
    scene.consume();

    scene.applied(&["order".to_owned()]).await;

    until(async || scene.counted("trellis_events_unreadable_total") == Some(2.0)).await;
    assert_eq!(scene.redeliveries(), Some(0.0));
    scene.end().await;
}

#[tokio::test]
async fn while_a_consumers_database_is_away_no_attempt_is_used_up() {
    let Some(server) = Postgres::start().await else { return };
    let Some(mut scene) = Scene::new().await else { return };
    scene.consumer = Consumer::on(&server, "consumer", &scene.clock).await;
    publish(&scene, &subjects("order", 3)).await;
    server.kill();
    scene.consume();
    until(async || refusals(&scene).is_some_and(|refusals| 20.0 <= refusals)).await;

    server.resume().await;
    scene.applied(&subjects("order", 3)).await;

    assert_eq!(scene.consumer.dead_letters().await, []);
    assert_eq!(scene.redeliveries(), Some(0.0));
    scene.end().await;
}

/// Waits in the middle of its work.
struct Slow {
    consumer: Consumer,
    began: watch::Sender<bool>,
    goes_on: watch::Sender<bool>,
}

#[async_trait::async_trait]
impl Handler for Slow {
    async fn handle(&self, event: &Event) -> Result<(), Failure> {
        self.began.send_replace(true);
        self.goes_on.subscribe().wait_for(|goes_on| *goes_on).await.unwrap();
        self.consumer.handle(event).await
    }
}

#[tokio::test]
async fn what_is_in_hand_at_a_stop_is_finished_and_settled() {
    let Some(mut scene) = Scene::new().await else { return };
    publish(&scene, &["order".to_owned()]).await;
    let (began, goes_on) = (watch::Sender::new(false), watch::Sender::new(false));
    let consumer = scene.consumer.clone();
    let slow = Slow { consumer, began: began.clone(), goes_on: goes_on.clone() };
    scene.consume_over(scene.consumer.transport_to(Arc::new(slow)), scene.options());
    began.subscribe().wait_for(|began| *began).await.unwrap();

    scene.shutdown.request();
    goes_on.send_replace(true);
    scene.shutdown.finish(super::GRACE).await.unwrap();

    assert_eq!(scene.consumer.effects().await, ["order"]);
    scene.shutdown = trellis_chassis::Shutdown::default();
    publish(&scene, &["second".to_owned()]).await;
    scene.consume();
    scene.consumer.handled(2).await;
    assert_eq!(scene.redeliveries(), Some(0.0));
    scene.end().await;
}

#[tokio::test]
async fn an_event_that_takes_longer_than_the_server_waits_is_not_sent_again() {
    let Some(scene) = Scene::new().await else { return };
    publish(&scene, &["order".to_owned()]).await;
    scene.consumer.leave();
    let options = Options { ack_wait: Duration::from_secs(3), ..scene.options() };
    let began = Instant::now();
    scene.consume_over(scene.consumer.transport(), options.clone());
    until(async || 2 * options.ack_wait < began.elapsed()).await;

    scene.consumer.come_back();
    scene.applied(&["order".to_owned()]).await;

    assert_eq!(scene.redeliveries(), Some(0.0));
    scene.end().await;
}

#[tokio::test]
async fn what_waits_in_the_stream_is_shown() {
    let Some(scene) = Scene::new().await else { return };
    scene.consumer.leave();
    publish(&scene, &subjects("order", 100)).await;
    scene.consume();

    // 32 are in hand, for which the consumer is waited for.
    let shown = || {
        let pending = scene.counted("trellis_events_pending")?;
        Some((pending, scene.counted("trellis_events_unacknowledged")?))
    };
    until(async || shown() == Some((68.0, 32.0))).await;

    scene.end().await;
}
