//! The outbox as a table.

use std::time::Duration;

use time::ext::NumericalStdDuration as _;
use trellis_chassis::Clock as _;
use trellis_events::bus::Receipt;
use trellis_events::outbox::{Lost, Settlement, Verdict};
use trellis_events::relay::LEASE;
use trellis_storage::{Error, Faults};
use uuid::Uuid;

use crate::world::{CONFIRMED, Publisher, clock, event};

async fn publisher() -> (Publisher, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Publisher::open(folder.path(), &clock(), &Faults::default()).await, folder)
}

#[tokio::test]
async fn an_event_comes_out_as_it_went_in() {
    let (publisher, _folder) = publisher().await;
    let mut event = event(&publisher.clock, CONFIRMED, "order");
    event.headers.insert("traceparent".to_owned(), "00-\"ä\"".to_owned());

    publisher.append(event.clone()).await.unwrap();

    let due = publisher.outbox.due(publisher.clock.now(), 10).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].delivery.event, event);
    assert_eq!(due[0].delivery.attempt, 1);
}

#[tokio::test]
async fn an_event_is_undone_with_the_change_that_it_tells_of() {
    let (publisher, _folder) = publisher().await;
    let event = event(&publisher.clock, CONFIRMED, "order");

    publisher.database.append(vec![event], Err(Error::Overloaded)).await.unwrap_err();

    assert_eq!(publisher.outbox.backlog().await.unwrap().count, 0);
}

#[tokio::test]
async fn what_could_never_be_delivered_is_refused() {
    let (publisher, _folder) = publisher().await;
    let sound = event(&publisher.clock, CONFIRMED, "order");

    let mut large = sound.clone();
    large.payload = vec![0; 256 * 1024 + 1].into();
    let error = publisher.append(large).await.unwrap_err();
    assert_eq!(error.constraint(), Some("outbox_payload_size"));

    let mut nameless = sound.clone();
    nameless.event_id = "1".to_owned();
    let error = publisher.append(nameless).await.unwrap_err();
    assert!(matches!(error, Error::Constraint { .. }), "{error:?}");

    let mut timeless = sound.clone();
    timeless.create_time = None;
    publisher.append(timeless).await.unwrap_err();

    publisher.append(sound.clone()).await.unwrap();
    let error = publisher.append(sound).await.unwrap_err();
    let name = error.constraint();
    assert!(matches!(name, Some("outbox.event_id" | "outbox_pkey")), "{name:?}");
}

#[tokio::test]
async fn the_longest_overdue_comes_first() {
    let (publisher, _folder) = publisher().await;
    publisher.tell(CONFIRMED, &["a", "b"]).await;
    publisher.clock.advance(1.std_seconds());
    publisher.tell(CONFIRMED, &["c"]).await;
    let now = publisher.clock.now();
    let claim = publisher.outbox.claim(Uuid::from_u128(1), LEASE, now).await.unwrap().unwrap();
    let first = publisher.outbox.due(now, 1).await.unwrap()[0].sequence;

    let later = Verdict::Refused { next_attempt_time: now + Duration::from_secs(2) };
    let settlement = Settlement { sequence: first, verdict: later };
    assert!(publisher.outbox.settle(claim, vec![settlement], now).await.unwrap());

    let subjects = async |limit| {
        let due = publisher.outbox.due(publisher.clock.now(), limit).await.unwrap();
        due.into_iter().map(|row| row.delivery.event.subject).collect::<Vec<_>>()
    };
    assert_eq!(subjects(10).await, ["b", "c"]);
    publisher.clock.advance(2.std_seconds());
    assert_eq!(subjects(10).await, ["b", "c", "a"]);
    assert_eq!(subjects(2).await, ["b", "c"]);
}

#[tokio::test]
async fn whoever_lost_the_lease_settles_nothing() {
    let (publisher, _folder) = publisher().await;
    publisher.tell(CONFIRMED, &["order"]).await;
    let now = publisher.clock.now();
    let old = publisher.outbox.claim(Uuid::from_u128(1), LEASE, now).await.unwrap().unwrap();
    let sequence = publisher.outbox.due(now, 1).await.unwrap()[0].sequence;

    publisher.clock.advance(LEASE);
    let now = publisher.clock.now();
    publisher.outbox.claim(Uuid::from_u128(2), LEASE, now).await.unwrap().unwrap();

    let settlement = Settlement { sequence, verdict: Verdict::Published(None) };
    assert!(!publisher.outbox.settle(old, vec![settlement], now).await.unwrap());
    assert_eq!(publisher.outbox.backlog().await.unwrap().count, 1);
}

#[tokio::test]
async fn the_backlog_tells_how_long_the_oldest_event_waits() {
    let (publisher, _folder) = publisher().await;
    let begin = publisher.clock.now();
    publisher.tell(CONFIRMED, &["a"]).await;
    publisher.clock.advance(1.std_minutes());
    publisher.tell(CONFIRMED, &["b"]).await;

    let backlog = publisher.outbox.backlog().await.unwrap();

    assert_eq!((backlog.count, backlog.oldest), (2, Some(begin)));
}

#[tokio::test]
async fn a_wake_that_nobody_waits_for_is_kept() {
    let (publisher, _folder) = publisher().await;
    publisher.outbox.wake();
    publisher.outbox.woken().await;
}

/// Publishes all that is due, at the places from 1 of `stream`.
async fn publish(publisher: &Publisher, stream: &str) {
    let now = publisher.clock.now();
    let claim = publisher.outbox.claim(Uuid::from_u128(1), LEASE, now).await.unwrap().unwrap();
    let due = publisher.outbox.due(now, 100).await.unwrap();
    let settlements = due.iter().zip(1..).map(|(row, place)| {
        let receipt = Receipt { stream: stream.into(), sequence: place };
        Settlement { sequence: row.sequence, verdict: Verdict::Published(Some(receipt)) }
    });
    assert!(publisher.outbox.settle(claim, settlements.collect(), now).await.unwrap());
}

/// The subjects of what is due, with the number of losses.
async fn due(publisher: &Publisher) -> Vec<(String, u32)> {
    let due = publisher.outbox.due(publisher.clock.now(), 100).await.unwrap();
    due.into_iter().map(|row| (row.delivery.event.subject, row.delivery.losses)).collect()
}

async fn unpublish(publisher: &Publisher, lost: Lost, limit: u32) -> usize {
    publisher.outbox.unpublish(lost, limit, publisher.clock.now()).await.unwrap()
}

#[tokio::test]
async fn a_receipt_tells_what_a_stream_keeps_from_the_top() {
    let (publisher, _folder) = publisher().await;
    publisher.tell(CONFIRMED, &["a", "b", "c"]).await;
    publish(&publisher, "events@1").await;

    let sequence = async |stream, skip| {
        publisher.outbox.kept(stream, skip).await.unwrap().map(|kept| kept.sequence)
    };
    assert_eq!(sequence("events@1", 0).await, Some(3));
    assert_eq!(sequence("events@1", 2).await, Some(1));
    assert_eq!(sequence("events@1", 3).await, None);
    assert_eq!(sequence("events@2", 0).await, None);
}

#[tokio::test]
async fn what_was_lost_above_a_place_is_due_again_and_counts_it() {
    let (publisher, _folder) = publisher().await;
    publisher.tell(CONFIRMED, &["a", "b", "c"]).await;
    publish(&publisher, "events@1").await;
    let receipt = Receipt { stream: "events@1".into(), sequence: 1 };

    assert_eq!(unpublish(&publisher, Lost::Above(receipt.clone()), 100).await, 2);

    assert_eq!(due(&publisher).await, [("b".to_owned(), 1), ("c".to_owned(), 1)]);
    assert_eq!(unpublish(&publisher, Lost::Above(receipt), 100).await, 0);
    publish(&publisher, "events@1").await;
    assert_eq!(unpublish(&publisher, Lost::All, 100).await, 3);
    let again = [("a".to_owned(), 1), ("b".to_owned(), 2), ("c".to_owned(), 2)];
    assert_eq!(due(&publisher).await, again);
}

#[tokio::test]
async fn what_another_life_of_the_stream_kept_is_due_again_a_part_at_a_time() {
    let (publisher, _folder) = publisher().await;
    publisher.tell(CONFIRMED, &["before"]).await;
    publish(&publisher, "events@1").await;
    publisher.tell(CONFIRMED, &["now"]).await;
    publish(&publisher, "events@2").await;
    publisher.tell(CONFIRMED, &["behind", "behind too"]).await;
    publish(&publisher, "events@3").await;
    let elsewhere = || Lost::Elsewhere("events@2".into());

    assert_eq!(unpublish(&publisher, elsewhere(), 2).await, 2);
    assert_eq!(unpublish(&publisher, elsewhere(), 2).await, 1);
    assert_eq!(unpublish(&publisher, elsewhere(), 2).await, 0);

    let due: Vec<_> = due(&publisher).await.into_iter().map(|(subject, _)| subject).collect();
    assert_eq!(due, ["before", "behind", "behind too"]);
}

#[tokio::test]
async fn what_was_published_without_a_receipt_is_never_lost() {
    let (publisher, _folder) = publisher().await;
    publisher.tell(CONFIRMED, &["direct"]).await;
    let now = publisher.clock.now();
    let claim = publisher.outbox.claim(Uuid::from_u128(1), LEASE, now).await.unwrap().unwrap();
    let sequence = publisher.outbox.due(now, 1).await.unwrap()[0].sequence;
    let settlement = Settlement { sequence, verdict: Verdict::Published(None) };
    assert!(publisher.outbox.settle(claim, vec![settlement], now).await.unwrap());

    for lost in [
        Lost::All,
        Lost::Elsewhere("events@1".into()),
        Lost::Above(Receipt { stream: "events@1".into(), sequence: 0 }),
    ] {
        assert_eq!(unpublish(&publisher, lost, 100).await, 0);
    }
}
