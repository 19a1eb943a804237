//! What the service makes of what it hears.

use std::time::Duration;

use trellis_api::event::v1 as pb;
use trellis_api::event::v1::delivery_outcome::Verdict;
use trellis_api::id::{Bucket, OrderId};
use trellis_chassis::Clock as _;
use trellis_events::Event;
use trellis_storage::{Faults, When};
use trellis_testkit::Database;

use crate::kit::{MONDAY, Service, confirmed, event, viewed};

#[tokio::test]
async fn an_event_that_comes_twice_counts_once() {
    let service = Service::start().await;
    let mugs = service.bought(&["MUG", "TEA"]).await;
    service.bought(&["LAMP"]).await;
    service.bought(&["LAMP"]).await;
    let look = viewed(MONDAY, "SPOON");

    for _ in 0..20 {
        assert_eq!(service.deliver(&mugs).await.0, Verdict::Done);
        assert_eq!(service.deliver(&look).await.0, Verdict::Done);
    }

    assert_eq!(service.recommend(&[], 10).await, ["LAMP", "MUG", "TEA", "SPOON"]);
    assert_eq!(service.audit().await[1].order_ids.len(), 3);
    assert!(service.broken().await.is_empty());
}

#[tokio::test]
async fn an_order_that_is_confirmed_by_two_events_was_bought_once() {
    let service = Service::start().await;
    let first = service.bought(&["MUG"]).await;
    let second = Event { event_id: confirmed(MONDAY, &[]).event_id, ..first };
    service.bought(&["LAMP"]).await;

    assert_eq!(service.deliver(&second).await.0, Verdict::Done);

    assert_eq!(service.recommend(&[], 10).await, ["LAMP", "MUG"]);
    assert!(service.broken().await.is_empty());
}

#[tokio::test]
async fn what_cannot_be_read_becomes_a_dead_letter() {
    let service = Service::start().await;
    let order_id = OrderId::new(MONDAY, Bucket::random()).to_string();
    let order = |order_id: &str, sku: &str| {
        let items = vec![pb::EventItem { sku: sku.to_owned(), quantity: 1 }];
        let order =
            pb::OrderConfirmed { order_id: order_id.to_owned(), items, ..Default::default() };
        event(MONDAY, "order.confirmed", order_id, &order)
    };
    let garbage = Event { payload: vec![0xff; 9].into(), ..confirmed(MONDAY, &["MUG"]) };
    let timeless = Event { create_time: None, ..confirmed(MONDAY, &["MUG"]) };
    let deaf = event(MONDAY, "user.deleted", "", &pb::UserDeleted::default());

    for (event, why) in [
        (garbage, "failed to decode"),
        (timeless, "create_time must be a time"),
        (order("user_1", "MUG"), "order_id must be"),
        (order(&order_id, "a mug"), "items[0].sku must be"),
        (confirmed(MONDAY, &[]), "items must not be empty"),
        (viewed(MONDAY, "a mug"), "sku must be"),
        (deaf, "user.deleted is not subscribed to"),
    ] {
        assert_eq!(service.deliver(&event).await.0, Verdict::Done);
        let letters = service.dead_letters().await;
        // They are listed without what they say.
        let shown = Event { payload: Vec::new().into(), ..event };
        let letter = letters.iter().find(|letter| letter.event.as_ref() == Some(&shown)).unwrap();
        assert!(letter.error.contains(why), "{}", letter.error);
    }

    assert!(service.recommend(&[], 0).await.is_empty());
    assert_eq!(service.broken().await, ["no dead letter waits"]);
}

#[tokio::test]
async fn a_publisher_whose_clock_is_ahead_wins_no_weight() {
    let service = Service::start().await;
    let ahead = confirmed(MONDAY + Duration::from_hours(24 * 365), &["MUG"]);

    assert_eq!(service.deliver(&ahead).await.0, Verdict::Done);
    service.bought(&["LAMP"]).await;
    service.bought(&["LAMP"]).await;

    assert_eq!(service.recommend(&[], 0).await, ["LAMP", "MUG"]);
}

#[tokio::test]
async fn a_look_of_last_month_says_nothing() {
    let service = Service::start().await;
    let old = viewed(service.clock.now(), "LAMP");
    service.clock.advance(Duration::from_hours(24 * 30));

    assert_eq!(service.deliver(&old).await.0, Verdict::Done);

    assert!(service.recommend(&[], 0).await.is_empty());
}

#[tokio::test]
async fn an_event_that_a_crash_interrupts_is_learned_once() {
    // On Postgres, a process that begins to follow says so first.
    let at = if Database::is_postgres_chosen() { 3 } else { 2 };
    for when in [When::BeforeCommit, When::AfterCommit] {
        let service = Service::start_with(Faults::crash(at, when)).await;
        service.bought(&["LAMP", "BULB"]).await;
        let order = confirmed(MONDAY, &["MUG", "TEA"]);
        assert_eq!(service.deliver(&order).await.0, Verdict::Away, "{when:?}");

        let service = service.restart().await;
        assert_eq!(service.deliver(&order).await.0, Verdict::Done, "{when:?}");

        assert_eq!(service.recommend(&["MUG"], 1).await, ["TEA"]);
        assert_eq!(service.audit().await[1].order_ids.len(), 2);
        assert!(service.broken().await.is_empty());
    }
}
