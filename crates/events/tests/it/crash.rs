//! Processes that die at any moment.

use std::path::Path;

use trellis_chassis::ManualClock;
use trellis_events::bus::Direct;
use trellis_events::relay::LEASE;
use trellis_storage::{Error, Faults, When};

use crate::world::{CONFIRMED, Consumer, Mood, Pair, Publisher, clock, drain, event};

#[tokio::test]
async fn an_event_takes_effect_once_though_its_relay_dies_before_it_hears_so() {
    let mut pair = Pair::new().await;
    pair.consumer.take("order", Mood::Mute);
    pair.publisher.tell(CONFIRMED, &["order"]).await;
    tokio::select! {
        _ = pair.relay.step() => panic!("the consumer never answers"),
        () = pair.consumer.handled(1) => {}
    }
    drop(pair.relay);
    assert_eq!(pair.publisher.outbox.backlog().await.unwrap().count, 1);

    pair.consumer.take("order", Mood::Well);
    pair.clock.advance(LEASE);
    drain(&mut pair.publisher.relay(&pair.bus)).await.unwrap();

    assert_eq!(pair.consumer.effects().await, ["order"]);
    assert_eq!(pair.publisher.outbox.backlog().await.unwrap().count, 0);
}

/// Three events, of which one becomes a dead letter.
struct Life {
    publisher: Publisher,
    consumer: Consumer,
    bus: Direct,
}

impl Life {
    async fn begin(folder: &Path, clock: &ManualClock, faults: &Faults) -> Self {
        let publisher = Publisher::open(folder, clock, faults).await;
        let consumer = Consumer::open(folder, "consumer", clock, faults).await;
        consumer.take("odd", Mood::Picky);
        let bus = Direct::default();
        bus.connect(vec![consumer.subscribe(&[CONFIRMED])]);
        Self { publisher, consumer, bus }
    }

    /// Lives until the end or the crash; says which events were promised.
    async fn live(&self) -> Vec<&'static str> {
        let mut promised = Vec::new();
        let mut relay = self.publisher.relay(&self.bus);
        for subject in ["a", "odd", "z"] {
            let event = event(&self.publisher.clock, CONFIRMED, subject);
            if self.publisher.append(event).await.is_ok() {
                promised.push(subject);
            }
            let _: Result<(), Error> = drain(&mut relay).await;
        }
        promised
    }

    async fn end(self) {
        self.publisher.database.close().await;
        self.consumer.database.close().await;
    }
}

async fn crash(at: u64, when: When) -> bool {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let faults = Faults::crash(at, when);
    let life = Life::begin(folder.path(), &clock, &faults).await;
    let promised = life.live().await;
    life.end().await;

    clock.advance(LEASE);
    let life = Life::begin(folder.path(), &clock, &Faults::default()).await;
    drain(&mut life.publisher.relay(&life.bus)).await.unwrap();

    let mut ended = life.consumer.effects().await;
    ended.extend(life.consumer.dead_letters().await.into_iter().map(|(subject, ..)| subject));
    ended.sort();
    let mut once = ended.clone();
    once.dedup();
    assert_eq!(ended, once, "an event took effect twice after commit {at}, {when:?}");
    for subject in promised {
        assert!(ended.iter().any(|end| end == subject), "{subject} lost at {at}, {when:?}");
    }
    assert_eq!(life.publisher.outbox.backlog().await.unwrap().count, 0);
    life.end().await;
    faults.crashed()
}

#[tokio::test]
async fn a_crash_at_any_commit_neither_loses_nor_repeats_an_event() {
    for when in [When::BeforeCommit, When::AfterCommit] {
        let mut at = 1;
        while crash(at, when).await {
            at += 1;
        }
        assert!(9 < at, "each event is appended, applied and settled");
    }
}
