//! The relay, moved step by step.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use trellis_chassis::{Clock as _, ManualClock};
use trellis_events::bus::{Bus, Delivery, Direct, Outcome};
use trellis_events::outbox::{Backlog, Outbox};
use trellis_events::relay::{AFTER_REFUSAL, BATCH, LEASE, PAGE, Progress, RETENTION, WHILE_AWAY};
use trellis_storage::{Faults, When};
use uuid::Uuid;

use crate::world::{CANCELLED, CONFIRMED, Consumer, Mood, Pair, Publisher, clock, drain};

#[tokio::test]
async fn an_event_reaches_all_who_want_its_kind_and_nobody_else() {
    let (folder, clock, faults) = (tempfile::tempdir().unwrap(), clock(), Faults::default());
    let publisher = Publisher::open(folder.path(), &clock, &faults).await;
    let open = async |name| Consumer::open(folder.path(), name, &clock, &faults).await;
    let (learner, mailer, refunder) =
        (open("learner").await, open("mailer").await, open("refunder").await);
    let bus = Direct::default();
    bus.connect(vec![
        learner.subscribe(&[CONFIRMED]),
        mailer.subscribe(&[CONFIRMED, CANCELLED]),
        refunder.subscribe(&[CANCELLED]),
    ]);
    publisher.tell(CONFIRMED, &["sold"]).await;
    publisher.tell(CANCELLED, &["gone"]).await;

    drain(&mut publisher.relay(&bus)).await.unwrap();

    assert_eq!(learner.effects().await, ["sold"]);
    assert_eq!(mailer.effects().await, ["gone", "sold"]);
    assert_eq!(refunder.effects().await, ["gone"]);
}

#[tokio::test]
async fn an_event_that_nobody_wants_is_published_all_the_same() {
    let mut pair = Pair::new().await;
    pair.publisher.tell("order.admired", &["nice"]).await;

    assert_eq!(pair.relay.step().await.unwrap(), Progress::Settled(1));

    assert_eq!(pair.publisher.outbox.backlog().await.unwrap(), Backlog::default());
    assert_eq!(pair.relay.step().await.unwrap(), Progress::Idle);
}

#[tokio::test]
async fn a_refused_event_waits_longer_each_time_until_it_is_a_dead_letter() {
    let mut pair = Pair::new().await;
    pair.consumer.take("sick", Mood::Ill);
    pair.publisher.tell(CONFIRMED, &["sick"]).await;

    for failures in 1..=5 {
        assert_eq!(pair.relay.step().await.unwrap(), Progress::Settled(1));
        let (attempts, next, published) = pair.publisher.row("sick").await;
        assert_eq!((attempts, published), (failures, false));
        let ceiling = AFTER_REFUSAL.ceiling(failures);
        assert!(pair.clock.now() <= next && next <= pair.clock.now() + ceiling);
        assert_eq!(pair.consumer.dead_letters().await, []);
        pair.clock.advance(ceiling);
    }
    drain(&mut pair.relay).await.unwrap();

    let letter = ("sick".to_owned(), 6, "not feeling well".to_owned());
    assert_eq!(pair.consumer.dead_letters().await, [letter]);
    assert_eq!(pair.publisher.outbox.backlog().await.unwrap().count, 0);
}

#[tokio::test]
async fn an_event_that_can_never_be_applied_is_a_dead_letter_at_once() {
    let mut pair = Pair::new().await;
    pair.consumer.take("odd", Mood::Picky);
    pair.publisher.tell(CONFIRMED, &["odd"]).await;

    drain(&mut pair.relay).await.unwrap();

    let letter = ("odd".to_owned(), 1, "not to my taste".to_owned());
    assert_eq!(pair.consumer.dead_letters().await, [letter]);
    assert_eq!(pair.publisher.outbox.backlog().await.unwrap().count, 0);
}

#[tokio::test]
async fn a_consumer_that_is_away_uses_up_no_attempts() {
    let mut pair = Pair::new().await;
    pair.consumer.leave();
    pair.publisher.tell(CONFIRMED, &["patient"]).await;

    for _ in 0..10 {
        assert_eq!(pair.relay.step().await.unwrap(), Progress::Settled(1));
        let (attempts, next, _) = pair.publisher.row("patient").await;
        assert_eq!(attempts, 0);
        assert!(next <= pair.clock.now() + WHILE_AWAY.cap);
        pair.clock.advance(WHILE_AWAY.cap);
    }
    pair.consumer.come_back();
    drain(&mut pair.relay).await.unwrap();

    assert_eq!(pair.consumer.effects().await, ["patient"]);
    assert_eq!(pair.consumer.dead_letters().await, []);
}

#[tokio::test]
async fn a_consumer_whose_database_is_away_uses_up_no_attempts() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let origin = Publisher::open(folder.path(), &clock, &Faults::default()).await;
    let faults = Faults::crash(1, When::BeforeCommit);
    let consumer = Consumer::open(folder.path(), "consumer", &clock, &faults).await;
    let bus = Direct::default();
    bus.connect(vec![consumer.subscribe(&[CONFIRMED])]);
    origin.tell(CONFIRMED, &["patient"]).await;
    let mut relay = origin.relay(&bus);

    for _ in 0..10 {
        assert_eq!(relay.step().await.unwrap(), Progress::Settled(1));
        let (attempts, _, published) = origin.row("patient").await;
        assert_eq!((attempts, published), (0, false));
        clock.advance(WHILE_AWAY.cap);
    }
}

#[tokio::test]
async fn a_consumer_that_is_away_holds_up_neither_the_others_nor_other_kinds() {
    let (folder, clock, faults) = (tempfile::tempdir().unwrap(), clock(), Faults::default());
    let publisher = Publisher::open(folder.path(), &clock, &faults).await;
    let here = Consumer::open(folder.path(), "here", &clock, &faults).await;
    let away = Consumer::open(folder.path(), "away", &clock, &faults).await;
    let bus = Direct::default();
    bus.connect(vec![away.subscribe(&[CONFIRMED]), here.subscribe(&[CONFIRMED, CANCELLED])]);
    let mut relay = publisher.relay(&bus);
    away.leave();
    publisher.tell(CONFIRMED, &["for both"]).await;
    publisher.tell(CANCELLED, &["for one"]).await;

    drain(&mut relay).await.unwrap();
    assert_eq!(here.effects().await, ["for both", "for one"]);
    assert!(publisher.row("for one").await.2);
    assert!(!publisher.row("for both").await.2);

    away.come_back();
    clock.advance(WHILE_AWAY.cap);
    drain(&mut relay).await.unwrap();
    assert_eq!(away.effects().await, ["for both"]);
    assert_eq!(here.effects().await, ["for both", "for one"]);
    assert_eq!(publisher.outbox.backlog().await.unwrap().count, 0);
}

#[tokio::test]
async fn many_poisonous_events_do_not_starve_a_good_one() {
    let mut pair = Pair::new().await;
    pair.consumer.take("poison", Mood::Ill);
    let poison: Vec<_> = (0..600).map(|n| format!("poison {n}")).collect();
    let poison: Vec<_> = poison.iter().map(String::as_str).collect();
    pair.publisher.tell(CONFIRMED, &poison).await;
    pair.publisher.tell(CONFIRMED, &["good"]).await;

    for _ in 0..3 {
        pair.relay.step().await.unwrap();
    }

    assert_eq!(pair.consumer.effects().await, ["good"]);
}

#[tokio::test]
async fn a_step_delivers_a_page_of_several_batches() {
    let mut pair = Pair::new().await;
    let more = 44;
    tell(&pair.publisher, PAGE + more).await;

    assert_eq!(pair.relay.step().await.unwrap(), Progress::Settled(PAGE));
    assert_eq!(pair.relay.step().await.unwrap(), Progress::Settled(more));
    assert_eq!(pair.consumer.effects().await.len(), (PAGE + more) as usize);
}

async fn tell(publisher: &Publisher, count: u32) {
    let subjects: Vec<_> = (0..count).map(|n| n.to_string()).collect();
    let subjects: Vec<_> = subjects.iter().map(String::as_str).collect();
    publisher.tell(CONFIRMED, &subjects).await;
}

/// A bus that has each batch after the first wait until the one before is noted.
struct Patient {
    outbox: Arc<dyn Outbox>,
    all: u32,
    taken: AtomicU32,
}

#[async_trait::async_trait]
impl Bus for Patient {
    async fn publish(&self, deliveries: Vec<Delivery>) -> Vec<Outcome> {
        let count = u32::try_from(deliveries.len()).unwrap();
        let before = self.taken.fetch_add(count, Ordering::Relaxed);
        while self.outbox.backlog().await.unwrap().count != u64::from(self.all - before) {
            tokio::task::yield_now().await;
        }
        vec![Outcome::Delivered(None); deliveries.len()]
    }
}

#[tokio::test]
async fn what_became_of_a_batch_is_noted_while_the_next_one_is_published() {
    let folder = tempfile::tempdir().unwrap();
    let publisher = Publisher::in_file(folder.path(), &clock()).await;
    tell(&publisher, PAGE).await;
    let outbox = Arc::clone(&publisher.outbox);
    let bus = Patient { outbox, all: PAGE, taken: AtomicU32::new(0) };
    let mut relay = publisher.relay_over(Arc::new(bus));

    let step = tokio::time::timeout(Duration::from_mins(1), relay.step());

    assert_eq!(step.await.expect("no batch waits for ever").unwrap(), Progress::Settled(PAGE));
}

/// A bus in which so much time passes that a lease is nearly over.
struct Late {
    clock: ManualClock,
}

#[async_trait::async_trait]
impl Bus for Late {
    async fn publish(&self, deliveries: Vec<Delivery>) -> Vec<Outcome> {
        self.clock.advance(LEASE * 3 / 4);
        vec![Outcome::Delivered(None); deliveries.len()]
    }
}

#[tokio::test]
async fn a_lease_that_is_nearly_over_ends_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let publisher = Publisher::in_file(folder.path(), &clock()).await;
    tell(&publisher, PAGE).await;
    let bus = Late { clock: publisher.clock.clone() };
    let mut relay = publisher.relay_over(Arc::new(bus));

    assert_eq!(relay.step().await.unwrap(), Progress::Settled(BATCH));
}

#[tokio::test]
async fn only_one_relay_delivers_until_its_lease_runs_out() {
    let mut pair = Pair::new().await;
    let mut second = pair.publisher.relay(&pair.bus);
    pair.publisher.tell(CONFIRMED, &["first"]).await;
    drain(&mut pair.relay).await.unwrap();

    pair.publisher.tell(CONFIRMED, &["second"]).await;
    assert_eq!(second.step().await.unwrap(), Progress::Standby);
    assert_eq!(pair.consumer.effects().await, ["first"]);

    pair.clock.advance(LEASE);
    assert_eq!(second.step().await.unwrap(), Progress::Settled(1));
    assert_eq!(pair.consumer.effects().await, ["first", "second"]);
}

/// A bus that takes twice as long as a lease lasts.
struct Slow {
    publisher: Arc<Publisher>,
}

#[async_trait::async_trait]
impl Bus for Slow {
    async fn publish(&self, deliveries: Vec<Delivery>) -> Vec<Outcome> {
        let Publisher { outbox, clock, .. } = self.publisher.as_ref();
        for _ in 0..8 {
            tokio::time::sleep(LEASE / 2).await;
            clock.advance(LEASE / 4);
            let stranger = outbox.claim(Uuid::from_u128(1), LEASE, clock.now()).await.unwrap();
            assert!(stranger.is_none(), "the lease ran out");
        }
        vec![Outcome::Delivered(None); deliveries.len()]
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_bus_does_not_cost_the_lease() {
    let folder = tempfile::tempdir().unwrap();
    let publisher = Arc::new(Publisher::in_file(folder.path(), &clock()).await);
    publisher.tell(CONFIRMED, &["order"]).await;
    let bus = Arc::new(Slow { publisher: Arc::clone(&publisher) });
    let mut relay = publisher.relay_over(bus);

    assert_eq!(relay.step().await.unwrap(), Progress::Settled(1));
}

#[tokio::test]
async fn a_relay_that_stops_gives_its_lease_back() {
    let mut pair = Pair::new().await;
    let mut second = pair.publisher.relay(&pair.bus);
    pair.publisher.tell(CONFIRMED, &["first"]).await;
    drain(&mut pair.relay).await.unwrap();
    pair.publisher.tell(CONFIRMED, &["second"]).await;

    pair.relay.stop().await;

    assert_eq!(second.step().await.unwrap(), Progress::Settled(1));
}

#[tokio::test]
async fn published_events_are_kept_for_a_week_and_others_until_they_are() {
    let mut pair = Pair::new().await;
    pair.publisher.tell(CONFIRMED, &["told"]).await;
    drain(&mut pair.relay).await.unwrap();
    pair.consumer.leave();
    pair.publisher.tell(CONFIRMED, &["untold"]).await;

    pair.clock.advance(RETENTION);
    pair.relay.step().await.unwrap();
    assert_eq!(pair.publisher.subjects().await, ["told", "untold"]);

    // The relay purges every hour, also when it is busy.
    pair.clock.advance(Duration::from_hours(1));
    assert_eq!(pair.relay.step().await.unwrap(), Progress::Settled(1));
    assert_eq!(pair.publisher.subjects().await, ["untold"]);
}
