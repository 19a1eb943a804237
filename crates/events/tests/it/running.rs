//! The relay and the housekeeping as the tasks that services run.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use trellis_chassis::{Clock as _, ManualClock, Shutdown};
use trellis_events::bus::Direct;
use trellis_events::{consumer, relay};
use trellis_storage::{Faults, When};

use crate::metrics::{DEPTH, OLDEST_AGE, value};
use crate::world::{CONFIRMED, Consumer, Mood, Pair, Publisher, clock, drain, event};

const GRACE: Duration = Duration::from_secs(20);

fn start(publisher: &Publisher, bus: &Direct, shutdown: &Shutdown) {
    let (outbox, bus) = (Arc::clone(&publisher.outbox), Arc::new(bus.clone()));
    let (clock, metrics) = (Arc::new(publisher.clock.clone()), publisher.metrics.clone());
    let run = relay::run("publisher", outbox, bus, clock, metrics, shutdown.clone());
    shutdown.spawn("test.relay", run);
}

#[tokio::test]
async fn a_thousand_events_of_concurrent_changes_take_effect_once_each() {
    let pair = Pair::new().await;
    let shutdown = Shutdown::default();
    start(&pair.publisher, &pair.bus, &shutdown);

    let subjects: Vec<_> = (0..1_000).map(|n| format!("{n:04}")).collect();
    let appends = subjects.iter().map(|subject| {
        let event = event(&pair.clock, CONFIRMED, subject);
        pair.publisher.append(event)
    });
    for appended in join_all(appends).await {
        appended.unwrap();
    }
    pair.consumer.handled(1_000).await;
    shutdown.request();
    shutdown.finish(GRACE).await.unwrap();

    assert_eq!(pair.consumer.effects().await, subjects);
    assert_eq!(pair.publisher.outbox.backlog().await.unwrap().count, 0);
}

#[tokio::test]
async fn a_relay_waits_for_a_bus_and_stops_without_one() {
    let pair = Pair::new().await;
    pair.publisher.tell(CONFIRMED, &["early"]).await;
    let (bus, shutdown) = (Direct::default(), Shutdown::default());
    start(&pair.publisher, &bus, &shutdown);

    tokio::task::yield_now().await;
    assert_eq!(pair.consumer.effects().await, Vec::<String>::new());
    bus.connect(vec![pair.consumer.subscribe(&[CONFIRMED])]);
    pair.consumer.handled(1).await;
    shutdown.request();
    shutdown.finish(GRACE).await.unwrap();

    let shutdown = Shutdown::default();
    start(&pair.publisher, &Direct::default(), &shutdown);
    shutdown.request();
    shutdown.finish(GRACE).await.unwrap();
}

#[tokio::test]
async fn a_relay_outlives_its_database() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let faults = Faults::crash(1, When::BeforeCommit);
    let publisher = Publisher::open(folder.path(), &clock, &faults).await;
    publisher.append(event(&clock, CONFIRMED, "lost")).await.unwrap_err();
    let (bus, shutdown) = (Direct::default(), Shutdown::default());
    bus.connect(Vec::new());
    start(&publisher, &bus, &shutdown);

    // The other task runs until it has failed and waits.
    tokio::task::yield_now().await;
    publisher.relay(&bus).step().await.unwrap_err();
    assert!(!shutdown.is_requested());

    shutdown.request();
    shutdown.finish(GRACE).await.unwrap();
}

#[tokio::test]
async fn an_applied_event_is_remembered_for_two_weeks() {
    let mut pair = Pair::new().await;
    pair.publisher.tell(CONFIRMED, &["old"]).await;
    drain(&mut pair.relay).await.unwrap();
    pair.clock.advance(consumer::RETENTION);
    pair.publisher.tell(CONFIRMED, &["new"]).await;
    drain(&mut pair.relay).await.unwrap();
    assert_eq!(pair.clock.now() - consumer::RETENTION, clock().now());
    assert_eq!(remembered(&pair).await, 2);
    pair.clock.advance(Duration::from_micros(1));

    let shutdown = Shutdown::default();
    tidy(&pair.consumer, &pair.clock, &shutdown);
    while remembered(&pair).await == 2 {
        tokio::task::yield_now().await;
    }
    shutdown.request();
    shutdown.finish(GRACE).await.unwrap();

    assert_eq!(remembered(&pair).await, 1);
}

fn tidy(consumer: &Consumer, clock: &ManualClock, shutdown: &Shutdown) {
    let inbox = consumer.database.inbox();
    let letters = consumer.database.dead_letters();
    let (clock, metrics) = (Arc::new(clock.clone()), consumer.metrics.clone());
    let housekeeping =
        consumer::housekeeping(consumer.name, inbox, letters, clock, metrics, shutdown.clone());
    shutdown.spawn("test.housekeeping", housekeeping);
}

#[tokio::test]
async fn what_waits_is_shown_while_the_bus_is_away() {
    let pair = Pair::new().await;
    pair.publisher.tell(CONFIRMED, &["early", "late"]).await;
    let (bus, shutdown) = (Direct::default(), Shutdown::default());
    start(&pair.publisher, &bus, &shutdown);

    while value(&pair.publisher.metrics, DEPTH) != Some(2.0) {
        tokio::task::yield_now().await;
    }

    pair.clock.advance(Duration::from_mins(1));
    assert_eq!(value(&pair.publisher.metrics, OLDEST_AGE), Some(60.0));
    shutdown.request();
    shutdown.finish(GRACE).await.unwrap();
}

#[tokio::test]
async fn dead_letters_are_counted_without_anybody_asking_for_them() {
    let mut pair = Pair::new().await;
    pair.consumer.take("odd", Mood::Picky);
    pair.publisher.tell(CONFIRMED, &["odd", "odder", "even"]).await;
    drain(&mut pair.relay).await.unwrap();
    let shutdown = Shutdown::default();
    tidy(&pair.consumer, &pair.clock, &shutdown);

    let series = r#"trellis_dead_letters{messaging_consumer_group_name="consumer"}"#;
    while value(&pair.consumer.metrics, series) != Some(2.0) {
        tokio::task::yield_now().await;
    }

    shutdown.request();
    shutdown.finish(GRACE).await.unwrap();
}

async fn remembered(pair: &Pair) -> usize {
    pair.consumer.database.texts("SELECT consumer FROM inbox").await.len()
}
