//! What the stream takes, and how often.

use std::sync::Arc;

use tokio::sync::Notify;
use trellis_chassis::Shutdown;
use trellis_events::bus::{Archive, Bus, Delivery, JetStream, Options, Outcome, Receipt};
use trellis_events::relay;
use trellis_events::relay::{LEASE, Progress};

use super::{GRACE, Scene, subjects, tell};
use crate::metrics::value;
use crate::world::{CONFIRMED, clock, drain, event};

fn receipt(outcome: &Outcome) -> &Receipt {
    match outcome {
        Outcome::Delivered(Some(receipt)) => receipt,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_event_that_is_published_twice_is_in_the_stream_once() {
    let Some(scene) = Scene::new().await else { return };
    let bus = scene.bus().await;
    let [order, last] =
        ["order", "last"].map(|s| Delivery::first(event(&scene.clock, CONFIRMED, s)));

    let outcomes = bus.publish(vec![order.clone(), order.clone()]).await;
    let again = bus.publish(vec![order, last]).await;

    let places: Vec<_> =
        outcomes.iter().chain(&again).map(|outcome| receipt(outcome).sequence).collect();
    assert_eq!(places, [1, 1, 1, 2]);
    scene.consume();
    scene.consumer.handled(2).await;
    assert_eq!(scene.consumer.effects().await, ["last", "order"]);
    assert_eq!(scene.consumer.handlings(), 2);
    scene.end().await;
}

#[tokio::test]
async fn an_event_that_was_lost_is_no_repetition_of_itself() {
    let Some(scene) = Scene::new().await else { return };
    let bus = scene.bus().await;
    let order = Delivery::first(event(&scene.clock, CONFIRMED, "order"));
    let lost = |losses| Delivery { losses, ..order.clone() };

    let outcomes = bus.publish(vec![lost(0), lost(1), lost(1), lost(2)]).await;

    let places: Vec<_> = outcomes.iter().map(|outcome| receipt(outcome).sequence).collect();
    assert_eq!(places, [1, 2, 2, 3]);
    scene.consume();
    scene.consumer.handled(3).await;
    assert_eq!(scene.consumer.effects().await, ["order"]);
    scene.end().await;
}

#[tokio::test]
async fn the_archive_knows_where_an_event_is() {
    let Some(scene) = Scene::new().await else { return };
    let bus = scene.bus().await;
    let order = event(&scene.clock, CONFIRMED, "order");
    let stranger = event(&scene.clock, CONFIRMED, "stranger");
    let outcomes = bus.publish(vec![Delivery::first(order.clone())]).await;

    let archive = bus.archive().unwrap();
    let stream = archive.stream().await.unwrap();

    assert_eq!((&stream.name, stream.first), (&receipt(&outcomes[0]).stream, 1));
    assert_eq!(stream.epoch, archive.epoch());
    assert_eq!(archive.holds(1, &order.event_id).await, Ok(true));
    assert_eq!(archive.holds(1, &stranger.event_id).await, Ok(false));
    assert_eq!(archive.holds(2, &order.event_id).await, Ok(false));
    scene.end().await;
}

/// A bus that never says what became of an event.
struct Mute {
    bus: Arc<dyn Bus>,
    published: Arc<Notify>,
}

#[async_trait::async_trait]
impl Bus for Mute {
    async fn publish(&self, deliveries: Vec<Delivery>) -> Vec<Outcome> {
        let outcomes = self.bus.publish(deliveries).await;
        assert!(matches!(outcomes[..], [Outcome::Delivered(_)]), "{outcomes:?}");
        self.published.notify_one();
        std::future::pending().await
    }

    fn archive(&self) -> Option<&dyn Archive> {
        self.bus.archive()
    }
}

#[tokio::test]
async fn an_event_is_in_the_stream_once_though_its_relay_dies_before_it_hears_so() {
    let Some(scene) = Scene::new().await else { return };
    let (bus, published) = (scene.bus().await, Arc::new(Notify::new()));
    tell(&scene.publisher, &["order".to_owned()]).await;
    let mute = Mute { bus: Arc::clone(&bus), published: Arc::clone(&published) };
    let mut relay = scene.publisher.relay_over(Arc::new(mute));
    tokio::select! {
        _ = relay.step() => panic!("the bus never answers"),
        () = published.notified() => {}
    }
    drop(relay);
    assert_eq!(scene.publisher.outbox.backlog().await.unwrap().count, 1);

    scene.clock.advance(LEASE);
    drain(&mut scene.publisher.relay_over(Arc::clone(&bus))).await.unwrap();

    assert_eq!(scene.publisher.outbox.backlog().await.unwrap().count, 0);
    let stream = bus.archive().unwrap().stream().await.unwrap();
    let kept = scene.publisher.outbox.kept(&stream.name, 0).await.unwrap().unwrap();
    assert_eq!(kept.sequence, 1);
    scene.consume();
    scene.applied(&["order".to_owned()]).await;
    scene.end().await;
}

#[tokio::test]
async fn batches_are_published_at_once_and_settled_with_their_places() {
    let Some(scene) = Scene::new().await else { return };
    let bus = scene.bus().await;
    tell(&scene.publisher, &subjects("order", 600)).await;
    let mut relay = scene.publisher.relay_over(Arc::clone(&bus));

    assert_eq!(relay.step().await.unwrap(), Progress::Settled(600));

    let stream = bus.archive().unwrap().stream().await.unwrap();
    let kept = scene.publisher.outbox.kept(&stream.name, 599).await.unwrap().unwrap();
    assert_eq!(kept.sequence, 1);
    let series = r#"messaging_client_operation_duration_seconds_count{outbox="publisher"}"#;
    assert_eq!(value(&scene.publisher.metrics, series), Some(600.0));
    scene.end().await;
}

#[tokio::test]
async fn what_cannot_be_published_stays_in_the_outbox_and_counts_no_attempt() {
    let Some(scene) = Scene::new().await else { return };
    let bus = scene.bus().await;
    tell(&scene.publisher, &["order".to_owned()]).await;
    let mut relay = scene.publisher.relay_over(Arc::clone(&bus));
    scene.nats.kill();

    assert_eq!(relay.step().await.unwrap(), Progress::Settled(1));

    let (attempts, _, published) = scene.publisher.row("order").await;
    assert_eq!((attempts, published), (0, false));
    scene.end().await;
}

#[tokio::test]
async fn a_server_that_hangs_costs_no_more_than_the_waits() {
    let Some(scene) = Scene::new().await else { return };
    let bus = scene.bus().await;
    scene.nats.stop();
    let order = || Delivery::first(event(&scene.clock, CONFIRMED, "order"));

    let outcomes = bus.publish((0..256).map(|_| order()).collect()).await;

    assert!(outcomes.iter().all(|o| matches!(o, Outcome::Unreachable(_))), "{outcomes:?}");
    scene.nats.go_on();
    scene.end().await;
}

#[tokio::test]
async fn a_relay_waits_for_a_server_and_stops_without_one() {
    let nowhere = Options::new("nats://127.0.0.1:1".parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let publisher = crate::world::Publisher::in_file(folder.path(), &clock()).await;
    let bus = Arc::new(JetStream::new(nowhere, &publisher.metrics).publisher("publisher"));
    let outcomes = bus.publish(vec![Delivery::first(event(&clock(), CONFIRMED, "order"))]).await;
    assert_eq!(outcomes, [Outcome::Unreachable("not connected".to_owned())]);

    let (outbox, clock) = (Arc::clone(&publisher.outbox), Arc::new(publisher.clock.clone()));
    let shutdown = Shutdown::default();
    let (metrics, stop) = (publisher.metrics.clone(), shutdown.clone());
    shutdown.spawn("test.relay", relay::run("publisher", outbox, bus, clock, metrics, stop));
    tokio::task::yield_now().await;
    shutdown.request();
    shutdown.finish(GRACE).await.unwrap();
}
