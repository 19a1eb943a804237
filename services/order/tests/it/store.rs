//! What every store promises, asked of each one.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use trellis_api::Money;
use trellis_api::id::{OrderId, UserId};
use trellis_chassis::Clock as _;
use trellis_events::event;
use trellis_order::domain::{Item, Order, Reason, State};
use trellis_order::saga::{Lease, Saga};
use trellis_order::store::{CheckoutRequest, Ending, Known, Postponement, Store, TurnBack};
use trellis_storage::Faults;
use trellis_storage::idempotency::{Answer, Fingerprint};
use uuid::Uuid;

use super::shop::{Ground, parse};

#[tokio::test]
async fn sqlite_lets_only_the_latest_holder_write() {
    let ground = Ground::new();
    only_the_latest_holder_writes(&*ground.open_store(Faults::default()), &ground).await;
}

#[tokio::test]
async fn sqlite_begins_one_order_for_each_request() {
    let ground = Ground::new();
    a_request_begins_one_order(&*ground.open_store(Faults::default()), &ground).await;
}

#[tokio::test]
async fn sqlite_claims_what_is_due_and_free_longest_overdue_first() {
    let ground = Ground::new();
    the_longest_overdue_is_claimed_first(&*ground.open_store(Faults::default()), &ground).await;
}

#[tokio::test]
async fn sqlite_frees_what_a_dead_process_held() {
    let ground = Ground::new();
    let store = ground.open_store(Faults::default());
    let now = ground.clock.now();
    let saga = checkout(&ground, now);
    begin(&*store, &saga, lease(now)).await;
    assert!(store.claim_due(lease(now), now, 32).await.unwrap().is_empty());

    drop(store);
    let store = ground.open_store(Faults::default());

    assert_eq!(store.free_orphans().await.unwrap(), 1);
    let claimed = store.claim_due(lease(now), now, 32).await.unwrap();
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].fence, 2);
}

#[tokio::test]
async fn sqlite_keeps_what_a_saga_did_and_no_secret() {
    let shop = Ground::new().open().await;
    shop.buy("tok_ok").await;
    shop.checkout(shop.purchase("tok_declined")).await.unwrap_err();

    let database = rusqlite::Connection::open(shop.ground.database()).unwrap();
    let count = |query| database.query_row(query, (), |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM sagas WHERE state = 'done'"), 2);
    assert_eq!(count("SELECT count(*) FROM sagas WHERE payment_token IS NOT NULL"), 0);
    let log: String = database
        .query_row(
            "
            SELECT group_concat(step || ': ' || outcome, '; ' ORDER BY sequence)
              FROM saga_log
              JOIN orders USING (order_id)
             GROUP BY order_id
            HAVING state = 'cancelled'
            ",
            (),
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(
        log,
        "reserve: done; authorize: refused: declined; turn_back: PAYMENT_DECLINED; \
         release: done; void: done; end: STATE_CANCELLED",
    );
}

async fn only_the_latest_holder_writes(store: &dyn Store, ground: &Ground) {
    let now = ground.clock.now();
    let zombie = checkout(ground, now);
    begin(store, &zombie, lease(now)).await;
    assert_eq!(store.renew(zombie.hold(), now).await.unwrap(), Some(false));
    let later = now + Duration::from_secs(31);
    let taken = store.claim_due(lease(later), later, 32).await.unwrap().remove(0);
    assert_eq!(taken.hold().fence, zombie.hold().fence + 1);

    let why = Reason::CheckoutTimedOut.into();
    let turn = TurnBack { why, log: Vec::new(), now };
    assert!(!store.turn_back(zombie.hold(), turn).await.unwrap());
    assert!(!store.postpone(zombie.hold(), rest(later)).await.unwrap());
    assert_eq!(store.renew(zombie.hold(), later).await.unwrap(), None);
    assert!(store.end(zombie.hold(), confirmed(&zombie, now)).await.unwrap().is_none());
    let order = store.order(ground.user_id, zombie.order.order_id).await.unwrap().unwrap();
    assert_eq!(order, zombie.order);

    assert!(store.end(taken.hold(), confirmed(&taken, now)).await.unwrap().is_some());
    assert!(store.end(taken.hold(), confirmed(&taken, now)).await.unwrap().is_none());
    let order = store.order(ground.user_id, zombie.order.order_id).await.unwrap().unwrap();
    assert_eq!(order.state, State::Confirmed);
    assert_eq!(store.outbox().backlog().await.unwrap().count, 1);
}

async fn a_request_begins_one_order(store: &dyn Store, ground: &Ground) {
    let now = ground.clock.now();
    let first = checkout(ground, now);
    let request = CheckoutRequest {
        user_id: ground.user_id,
        request_id: first.order.request_id,
        fingerprint: Fingerprint::of(&[]),
    };
    assert!(store.find(request).await.unwrap().is_none());
    begin(store, &first, lease(now)).await;

    let mut second = checkout(ground, now);
    second.order.request_id = first.order.request_id;
    let again = store.begin(second.clone(), Fingerprint::of(&[]), lease(now)).await.unwrap();
    assert!(matches!(again, Some(Known::Running(id)) if id == first.order.order_id));
    let other =
        store.begin(second.clone(), Fingerprint::of(&[b"other"]), lease(now)).await.unwrap();
    assert!(matches!(other, Some(Known::Mismatch)));

    store.end(first.hold(), confirmed(&first, now)).await.unwrap().unwrap();
    let answered = store.find(request).await.unwrap();
    assert!(matches!(answered, Some(Known::Answered(answer)) if answer == said()));

    assert_eq!(store.purge(now + Duration::from_secs(1)).await.unwrap(), 1);
    let late = store.begin(second, Fingerprint::of(&[]), lease(now)).await.unwrap();
    assert!(matches!(late, Some(Known::Late(order)) if order.order_id == first.order.order_id));
    assert!(matches!(store.find(request).await.unwrap(), Some(Known::Late(_))));
}

async fn the_longest_overdue_is_claimed_first(store: &dyn Store, ground: &Ground) {
    let mut ids = Vec::new();
    let lapsed = lease(ground.clock.now() - Duration::from_hours(1));
    for _ in 0..5 {
        ground.clock.advance(Duration::from_secs(1));
        let saga = checkout(ground, ground.clock.now());
        begin(store, &saga, lapsed).await;
        ids.push(saga.order.order_id);
    }
    let now = ground.clock.now();

    let first = store.claim_due(lease(now), now, 2).await.unwrap();
    let mut claimed: Vec<_> = first.iter().map(|saga| saga.order.order_id).collect();
    claimed.sort();
    assert_eq!(claimed, ids[..2]);

    // One that was put off goes behind the others, and is due in its time.
    assert!(store.postpone(first[0].hold(), rest(now + Duration::from_secs(9))).await.unwrap());
    assert_eq!(store.claim_due(lease(now), now, 32).await.unwrap().len(), 3);
    assert!(store.claim_due(lease(now), now, 32).await.unwrap().is_empty());
    let later = now + Duration::from_secs(9);
    let due = store.claim_due(lease(later), later, 32).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!((due[0].attempts, due[0].failures), (1, 1));
}

/// A pending order of two mugs.
pub(crate) fn pending(user_id: UserId, now: OffsetDateTime) -> Order {
    let price = Money::new("GBP".parse().unwrap(), 350);
    let quantity = 2.try_into().unwrap();
    let item = Item {
        sku: "MUG".parse().unwrap(),
        title: "A MUG".to_owned(),
        quantity,
        unit_price: price,
    };
    Order {
        order_id: OrderId::new(now, user_id.bucket()),
        user_id,
        request_id: Uuid::new_v4(),
        items: Arc::new([item]),
        total: price.checked_mul(quantity).unwrap(),
        state: State::Pending,
        create_time: now,
        update_time: now,
    }
}

fn checkout(ground: &Ground, now: OffsetDateTime) -> Saga {
    Saga::checkout(pending(ground.user_id, now), "tok_ok".parse().unwrap(), false)
}

pub(crate) async fn begin(store: &dyn Store, saga: &Saga, lease: Lease) {
    let begun = store.begin(saga.clone(), Fingerprint::of(&[]), lease).await.unwrap();
    assert!(begun.is_none());
}

pub(crate) fn lease(now: OffsetDateTime) -> Lease {
    Lease { owner: Uuid::new_v4(), until: now + Duration::from_secs(30) }
}

fn rest(until: OffsetDateTime) -> Postponement {
    Postponement {
        step: None,
        attempts: 1,
        failures: 1,
        next_attempt_time: Some(until),
        error: Some("away".to_owned()),
        log: Vec::new(),
        now: until,
    }
}

fn said() -> Answer {
    Answer { code: 0, body: b"sold".to_vec() }
}

pub(crate) fn confirmed(saga: &Saga, now: OffsetDateTime) -> Ending {
    let order = saga.order.becomes(State::Confirmed, now).unwrap();
    let id = parse(&order.order_id.to_string());
    let payload = trellis_api::event::v1::OrderConfirmed::default();
    Ending {
        event: event(now, id.bucket(), "order.confirmed", id.to_string(), &payload),
        order,
        answer: Some(said()),
        clear_cart: false,
        log: Vec::new(),
        lease: lease(now),
        now,
    }
}
