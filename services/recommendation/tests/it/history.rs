//! What the service knows after a start.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use futures::stream::{self, StreamExt as _};
use trellis_api::Sku;
use trellis_api::id::{Bucket, OrderId};
use trellis_chassis::ManualClock;
use trellis_recommendation::Store;
use trellis_recommendation::domain::Basket;
use trellis_storage::Faults;

use crate::kit::{MONDAY, Service, database, event_id, open};

/// Keeps so many baskets of three out of thirty products.
async fn keep_baskets(store: &Arc<dyn Store>, count: usize) {
    let keep = |number: usize| {
        let order_id = OrderId::new(MONDAY, Bucket::random());
        let skus = [number % 30, number * 7 % 30, number / 30 % 30];
        let skus = skus.map(|number| format!("SKU-{number:02}").parse::<Sku>().unwrap());
        let basket = Basket::new(order_id, skus, MONDAY).unwrap();
        store.keep_basket(event_id(number as u128), basket, MONDAY)
    };
    let kept = stream::iter(0..count).map(keep).buffer_unordered(200);
    kept.for_each(async |kept| assert!(kept.is_ok(), "{kept:?}")).await;
}

#[tokio::test]
async fn a_restart_changes_no_answer() {
    let service = Service::start().await;
    for number in 0..60 {
        let skus = [number % 9, number % 5, number % 7].map(|number| format!("SKU-{number}"));
        service.bought(&skus.each_ref().map(String::as_str)).await;
        service.looked_at(&skus[number % 3], number % 4).await;
        service.clock.advance(Duration::from_mins(50));
    }
    let mut before = Vec::new();
    for context in [&[][..], &["SKU-1"], &["SKU-3", "SKU-8"], &["SKU-0", "SKU-1", "SKU-2"]] {
        before.push((context, service.recommend(context, 100).await));
    }

    let service = service.restart().await;

    for (context, answer) in before {
        assert_eq!(service.recommend(context, 100).await, answer);
    }
    assert!(service.broken().await.is_empty());
}

#[tokio::test]
async fn what_is_heard_while_the_past_is_read_counts_once() {
    let database = database().await;
    keep_baskets(&open(&database, Faults::default()).await, 3_500).await;

    let service = Service::start_on(database, Faults::default(), ManualClock::new(MONDAY)).await;
    let meanwhile: Vec<_> = (0..20).map(|_| service.bought(&["MUG", "TEA"])).collect();
    join_all(meanwhile).await;

    assert!(service.broken().await.is_empty());
    assert_eq!(service.recommend(&["MUG"], 1).await, ["TEA"]);
    let live = service.recommend(&["SKU-03"], 100).await;
    let service = service.restart().await;
    assert!(service.broken().await.is_empty());
    assert_eq!(service.recommend(&["SKU-03"], 100).await, live);
}

#[tokio::test]
async fn an_audit_names_every_order_that_was_heard() {
    let database = database().await;
    keep_baskets(&open(&database, Faults::default()).await, 10_050).await;
    let service = Service::start_on(database, Faults::default(), ManualClock::new(MONDAY)).await;

    let parts = service.audit().await;

    assert_eq!(parts[0].checks.len(), 3);
    assert!(parts[0].checks.iter().all(|check| check.violations.is_empty()));
    assert_eq!(parts[0].checks[2].examined, 10_050);
    assert_eq!(parts[0].forgotten_until_time, None);
    assert!(parts[0].order_ids.is_empty());
    let order_ids: BTreeSet<&String> = parts.iter().flat_map(|part| &part.order_ids).collect();
    assert_eq!(order_ids.len(), 10_050);
    assert!(parts[1..].iter().all(|part| part.checks.is_empty()));
}

#[tokio::test]
async fn an_audit_finds_a_basket_whose_event_could_come_again() {
    let service = Service::start().await;
    service.bought(&["MUG"]).await;

    service.store.inbox().purge(MONDAY + Duration::from_secs(1), 10).await.unwrap();

    assert_eq!(service.broken().await, ["every basket came with an event that is remembered"]);
}
