//! The consumer's side of deliveries, through its client.

use std::time::Duration;

use tonic::{Code, Request};
use tonic_types::StatusExt as _;
use trellis_api::event::v1 as pb;
use trellis_api::event::v1::delivery_outcome::Verdict;
use trellis_storage::{Faults, When};

use crate::world::{CONFIRMED, Consumer, Mood, clock, event};

async fn consumer(faults: &Faults) -> (Consumer, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Consumer::open(folder.path(), "consumer", &clock(), faults).await, folder)
}

fn delivery(subject: &str, attempt: i32) -> pb::Delivery {
    pb::Delivery { event: Some(event(&clock(), CONFIRMED, subject)), attempt }
}

fn request(deliveries: Vec<pb::Delivery>) -> Request<pb::DeliverEventsRequest> {
    Request::new(pb::DeliverEventsRequest { deliveries })
}

async fn deliver(
    consumer: &Consumer,
    request: Request<pb::DeliverEventsRequest>,
) -> Vec<(Verdict, String)> {
    let response = consumer.client().deliver_events(request).await.unwrap().into_inner();
    response.outcomes.into_iter().map(|o| (o.verdict(), o.error)).collect()
}

#[tokio::test]
async fn an_event_takes_effect_once_however_often_it_comes() {
    let (consumer, _folder) = consumer(&Faults::default()).await;
    let delivery = delivery("order", 1);

    let twice = deliver(&consumer, request(vec![delivery.clone(), delivery.clone()])).await;
    let again = deliver(&consumer, request(vec![delivery])).await;

    let done = (Verdict::Done, String::new());
    assert_eq!(twice, [done.clone(), done.clone()]);
    assert_eq!(again, [done]);
    assert_eq!(consumer.effects().await, ["order"]);
}

#[tokio::test]
async fn an_event_with_a_letter_that_no_database_takes_is_a_dead_letter_all_the_same() {
    let (consumer, _folder) = consumer(&Faults::default()).await;
    consumer.take("", Mood::Picky);
    let event = event(&clock(), CONFIRMED, "or\0der");

    let delivery = pb::Delivery { event: Some(event.clone()), attempt: 1 };
    let outcomes = deliver(&consumer, request(vec![delivery])).await;

    assert_eq!(outcomes, [(Verdict::Done, String::new())]);
    assert_eq!(consumer.dead_letters().await[0].0, event.subject);
}

#[tokio::test]
async fn a_panic_fails_its_own_event_only() {
    let (consumer, _folder) = consumer(&Faults::default()).await;
    consumer.take("glass", Mood::Clumsy);

    let outcomes =
        deliver(&consumer, request(vec![delivery("glass", 1), delivery("order", 1)])).await;

    let retry = (Verdict::Retry, "panicked: dropped it".to_owned());
    assert_eq!(outcomes, [retry, (Verdict::Done, String::new())]);
    assert_eq!(consumer.effects().await, ["order"]);
}

#[tokio::test]
async fn an_event_that_takes_too_long_does_not_take_its_batch_along() {
    let (consumer, _folder) = consumer(&Faults::default()).await;
    consumer.take("slow", Mood::Stuck);

    let mut request = request(vec![delivery("slow", 1), delivery("order", 1)]);
    request.set_timeout(Duration::from_secs(2));
    let outcomes = deliver(&consumer, request).await;

    assert_eq!(outcomes[0].0, Verdict::Retry);
    assert!(outcomes[0].1.starts_with("took longer than"), "{}", outcomes[0].1);
    assert_eq!(outcomes[1].0, Verdict::Done);
}

#[tokio::test]
async fn the_sixth_failure_is_the_last() {
    let (consumer, _folder) = consumer(&Faults::default()).await;
    consumer.take("sick", Mood::Ill);
    let sick = delivery("sick", 1);

    for attempt in 1..=5 {
        let delivery = pb::Delivery { attempt, ..sick.clone() };
        assert_eq!(deliver(&consumer, request(vec![delivery])).await[0].0, Verdict::Retry);
    }
    assert_eq!(consumer.dead_letters().await, []);

    // A sender that did not hear the answer sends it once more.
    for attempt in [6, 6, 7] {
        let delivery = pb::Delivery { attempt, ..sick.clone() };
        assert_eq!(deliver(&consumer, request(vec![delivery])).await[0].0, Verdict::Done);
    }
    let letter = ("sick".to_owned(), 6, "not feeling well".to_owned());
    assert_eq!(consumer.dead_letters().await, [letter]);
}

#[tokio::test]
async fn an_event_stays_with_its_sender_while_no_dead_letter_can_be_written() {
    let (consumer, _folder) = consumer(&Faults::crash(1, When::BeforeCommit)).await;
    consumer.take("odd", Mood::Picky);

    let outcomes = deliver(&consumer, request(vec![delivery("odd", 1)])).await;

    assert_eq!(outcomes, [(Verdict::Retry, "not to my taste".to_owned())]);
}

#[tokio::test]
async fn a_consumer_whose_database_is_away_says_so() {
    let (consumer, _folder) = consumer(&Faults::crash(1, When::BeforeCommit)).await;

    let outcomes = deliver(&consumer, request(vec![delivery("order", 6)])).await;

    assert_eq!(outcomes[0].0, Verdict::Away, "{outcomes:?}");
    assert!(!outcomes[0].1.is_empty());
}

#[tokio::test]
async fn what_is_not_a_delivery_is_refused_at_the_door_and_named() {
    let (consumer, _folder) = consumer(&Faults::default()).await;
    let mut shouted = delivery("order", 1);
    let event = shouted.event.as_mut().unwrap();
    event.event_id = event.event_id.to_uppercase();
    let empty = pb::Delivery { event: None, attempt: 1 };
    let bad = vec![delivery("good", 1), empty, shouted, delivery("zeroth", 0)];

    let status = consumer.client().deliver_events(request(bad)).await.unwrap_err();

    assert_eq!(status.code(), Code::InvalidArgument);
    let violations = status.get_details_bad_request().unwrap().field_violations;
    let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
    let expected = ["deliveries[1].event", "deliveries[2].event.event_id", "deliveries[3].attempt"];
    assert_eq!(fields, expected);
    assert_eq!(consumer.effects().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_call_carries_256_deliveries_and_no_more() {
    let (consumer, _folder) = consumer(&Faults::default()).await;
    let deliveries = |count| (0..count).map(|n| delivery(&n.to_string(), 1)).collect::<Vec<_>>();

    assert_eq!(deliver(&consumer, request(deliveries(256))).await.len(), 256);

    let status = consumer.client().deliver_events(request(deliveries(257))).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(consumer.effects().await.len(), 256);
}
