//! Servers that die and servers that forget.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join;
use trellis_chassis::Clock as _;
use trellis_events::relay::Rebuild;

use super::{Scene, subjects, tell, until};

#[tokio::test]
async fn a_server_that_is_killed_under_load_loses_and_repeats_nothing() {
    let Some(scene) = Scene::new().await else { return };
    scene.publish();
    scene.consume();

    let load = async {
        for subjects in subjects("order", 400).chunks(20) {
            tell(&scene.publisher, subjects).await;
            tokio::task::yield_now().await;
        }
    };
    let fault = async {
        for handled in [20, 100] {
            scene.consumer.handled(handled).await;
            scene.nats.kill();
            scene.nats.resume().await;
        }
    };
    join(load, fault).await;

    scene.applied(&subjects("order", 400)).await;
    scene.published().await;
    assert_eq!(scene.resent(), 0);
    scene.end().await;
}

#[tokio::test]
async fn a_server_that_forgets_everything_under_load_is_told_again() {
    let Some(scene) = Scene::new().await else { return };
    scene.publish();
    tell(&scene.publisher, &subjects("before", 300)).await;
    scene.published().await;

    let load = async {
        for subjects in subjects("meanwhile", 300).chunks(10) {
            tell(&scene.publisher, subjects).await;
            tokio::task::yield_now().await;
        }
    };
    join(load, scene.nats.wipe()).await;
    scene.consume();

    let all = [subjects("before", 300), subjects("meanwhile", 300)].concat();
    scene.applied(&all).await;
    scene.published().await;
    assert!(300 <= scene.resent(), "{}", scene.resent());
    scene.end().await;
}

#[tokio::test]
async fn what_consumers_had_heard_before_a_server_forgot_it_takes_no_effect_again() {
    let Some(scene) = Scene::new().await else { return };
    scene.publish();
    scene.consume();
    tell(&scene.publisher, &subjects("order", 50)).await;
    scene.applied(&subjects("order", 50)).await;
    scene.published().await;

    scene.nats.wipe().await;

    // It is heard a second time.
    scene.consumer.handled(100).await;
    scene.applied(&subjects("order", 50)).await;
    assert!(50 <= scene.resent(), "{}", scene.resent());
    scene.end().await;
}

#[tokio::test]
async fn of_a_server_that_lost_its_tail_only_about_that_is_sent_again() {
    let Some(scene) = Scene::new().await else { return };
    scene.publish();
    tell(&scene.publisher, &subjects("kept", 200)).await;
    scene.published().await;
    scene.nats.save().await;
    tell(&scene.publisher, &subjects("lost", 20)).await;
    scene.published().await;

    scene.nats.go_back().await;
    until(async || 0 < scene.resent()).await;
    scene.published().await;
    scene.consume();

    let all = [subjects("kept", 200), subjects("lost", 20)].concat();
    scene.applied(&all).await;
    // Looked at were the rows 0, 1, 3, 7, 15 and 31 from the top.
    assert_eq!(scene.resent(), 31);
    scene.end().await;
}

#[tokio::test]
async fn a_publisher_learns_of_a_loss_though_others_have_filled_it_up() {
    let Some(scene) = Scene::new().await else { return };
    tell(&scene.publisher, &subjects("kept", 5)).await;
    let bus = scene.bus().await;
    let mut relay = scene.publisher.relay_over(Arc::clone(&bus));
    relay.step().await.unwrap();
    scene.nats.save().await;
    bus.ready().await;
    tell(&scene.publisher, &subjects("lost", 5)).await;
    relay.step().await.unwrap();
    scene.published().await;
    scene.nats.go_back().await;

    let stranger = scene.bus().await;
    let events = subjects("stranger", 9).into_iter().map(|subject| {
        let event = crate::world::event(&scene.clock, "order.admired", &subject);
        trellis_events::bus::Delivery::first(event)
    });
    stranger.publish(events.collect()).await;
    bus.ready().await;
    scene.clock.advance(Duration::from_secs(61));
    relay.step().await.unwrap();

    // The rows 0, 1, 3 and 7 from the top: 7 is there.
    assert_eq!(scene.resent(), 7);
    scene.published().await;
    scene.end().await;
}

#[tokio::test]
async fn a_stream_that_somebody_deletes_is_made_again_and_filled() {
    let Some(scene) = Scene::new().await else { return };
    scene.publish();
    tell(&scene.publisher, &subjects("before", 20)).await;
    scene.published().await;

    let client = async_nats::connect(scene.nats.url()).await.unwrap();
    async_nats::jetstream::new(client).delete_stream("events").await.unwrap();
    tell(&scene.publisher, &subjects("later", 20)).await;
    scene.consume();

    scene.applied(&[subjects("before", 20), subjects("later", 20)].concat()).await;
    scene.end().await;
}

#[tokio::test]
async fn a_stream_is_built_again_from_the_outbox() {
    let Some(scene) = Scene::new().await else { return };
    scene.publish();
    scene.consume();
    tell(&scene.publisher, &subjects("order", 30)).await;
    scene.applied(&subjects("order", 30)).await;
    scene.published().await;

    let rebuild = Rebuild::new(Arc::clone(&scene.publisher.outbox), None, &scene.clock);
    assert_eq!(rebuild.count().await.unwrap(), 30);
    assert_eq!(rebuild.step().await.unwrap(), 30);
    assert_eq!(rebuild.step().await.unwrap(), 0);

    scene.consumer.handled(60).await;
    scene.applied(&subjects("order", 30)).await;
    scene.end().await;
}

#[tokio::test]
async fn of_what_was_published_only_what_is_asked_for_becomes_due_again() {
    let Some(scene) = Scene::new().await else { return };
    let bus = scene.bus().await;
    let mut relay = scene.publisher.relay_over(bus);
    tell(&scene.publisher, &subjects("old", 1_500)).await;
    while scene.publisher.outbox.backlog().await.unwrap().count != 0 {
        relay.step().await.unwrap();
    }
    scene.clock.advance(Duration::from_secs(1));
    let since = scene.clock.now();
    tell(&scene.publisher, &subjects("new", 3)).await;
    relay.step().await.unwrap();
    scene.published().await;

    let rebuild = |since| Rebuild::new(Arc::clone(&scene.publisher.outbox), since, &scene.clock);
    let some = rebuild(Some(since));
    assert_eq!(some.count().await.unwrap(), 3);
    assert_eq!((some.step().await.unwrap(), some.step().await.unwrap()), (3, 0));
    assert_eq!(some.left().await.unwrap(), Some(3));

    // Left in the middle, it has made a part due and lost nothing.
    let all = rebuild(None);
    assert_eq!(all.step().await.unwrap(), 1_000);
    assert_eq!(rebuild(None).count().await.unwrap(), 500);
    assert_eq!(all.left().await.unwrap(), Some(1_003));
    while all.left().await.unwrap().is_some() {
        relay.step().await.unwrap();
    }
    assert_eq!(rebuild(None).count().await.unwrap(), 1_503);
    scene.end().await;
}

#[tokio::test]
async fn who_only_looks_makes_no_stream() {
    let Some(scene) = Scene::new().await else { return };
    let looker = scene.connect();
    assert_eq!(looker.look().await, Ok(None));

    scene.publish();
    tell(&scene.publisher, &subjects("order", 7)).await;
    scene.published().await;

    let contents = looker.look().await.unwrap().unwrap();
    assert_eq!((contents.count, contents.first, contents.last), (7, 1, 7));
    let deposits = scene.publisher.outbox.deposits(None).await.unwrap();
    assert_eq!(deposits.len(), 1);
    assert_eq!((&deposits[0].stream, deposits[0].highest), (&contents.stream, contents.last));
    scene.nats.kill();
    assert!(scene.connect().look().await.is_err());
    scene.end().await;
}
