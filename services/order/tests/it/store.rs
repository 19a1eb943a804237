//! What every store promises, asked of each one.

use std::sync::Arc;
use std::time::Duration;

use trellis_order::domain::{Item, Order, Reason, State};
use trellis_order::saga::{Saga, Step};
use trellis_order::store::{CheckoutRequest, Known, Postponement, TurnBack};
use trellis_storage::Error;
use trellis_storage::idempotency::Fingerprint;
use trellis_testkit::Database;

use super::ground::{Ground, untold};
use super::records::{Records, begin, confirmed, entry, lease, rest, said};

async fn only_the_latest_holder_writes(records: Records<'_>) {
    let (store, now) = (&*records.store, records.now());
    let zombie = records.begun().await;
    assert_eq!(store.renew(zombie.hold(), now).await.unwrap(), Some(false));
    let later = now + Duration::from_secs(31);
    let taken = store.claim_due(lease(later), later, 32).await.unwrap().remove(0);
    assert_eq!(taken.hold().fence, zombie.hold().fence + 1);

    let why = Reason::CheckoutTimedOut.into();
    let turn = TurnBack { why, log: vec![entry("late", now)], now };
    assert!(!store.turn_back(zombie.hold(), turn).await.unwrap());
    assert!(!store.postpone(zombie.hold(), rest(later)).await.unwrap());
    assert_eq!(store.renew(zombie.hold(), later).await.unwrap(), None);
    assert!(store.end(zombie.hold(), confirmed(&zombie, now)).await.unwrap().is_none());
    assert_eq!(records.order(&zombie).await, zombie.order);

    assert!(store.end(taken.hold(), confirmed(&taken, now)).await.unwrap().is_some());
    assert!(store.end(taken.hold(), confirmed(&taken, now)).await.unwrap().is_none());
    assert_eq!(records.order(&zombie).await.state, State::Confirmed);
    assert_eq!(untold(store).await, 1);
    assert_eq!(text(records.database, "SELECT CAST(count(*) AS text) FROM saga_log").await, "0");
}

async fn a_request_begins_one_order(records: Records<'_>) {
    let (store, now) = (&*records.store, records.now());
    let first = records.checkout();
    let request = CheckoutRequest {
        user_id: records.user_id,
        request_id: first.order.request_id,
        fingerprint: Fingerprint::of(&[]),
    };
    assert!(store.find(request).await.unwrap().is_none());
    begin(store, &first, lease(now)).await;

    let mut second = records.checkout();
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

async fn the_longest_overdue_is_claimed_first(records: Records<'_>) {
    let store = &*records.store;
    let mut ids = Vec::new();
    for _ in 0..5 {
        records.clock.advance(Duration::from_secs(1));
        ids.push(records.abandoned().await.order.order_id);
    }
    let now = records.now();

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

async fn a_saga_that_is_taken_over_is_as_it_was_left(records: Records<'_>) {
    let (store, now) = (&*records.store, records.now());
    let left = records.begun().await;
    let why = trellis_order::domain::Cancellation {
        reason: Reason::OutOfStock,
        detail: "MUG".to_owned(),
    };
    let turn = TurnBack { why: why.clone(), log: vec![entry("refused", now)], now };
    assert!(store.turn_back(left.hold(), turn).await.unwrap());
    assert!(store.postpone(left.hold(), rest(now)).await.unwrap());

    let taken = store.claim_due(lease(now), now, 1).await.unwrap().remove(0);

    assert_eq!((taken.hold().order_id, taken.kind), (left.hold().order_id, left.kind));
    assert_eq!((taken.order, taken.turned_back), (left.order, Some(why)));
    assert_eq!((taken.payment_token, taken.from_cart), (None, false));
    assert_eq!((taken.deadline_time, taken.create_time), (left.deadline_time, left.create_time));
}

async fn what_others_say_may_have_a_nul(records: Records<'_>) {
    let (store, now) = (&*records.store, records.now());
    let mut saga = records.checkout();
    let nul = Item { title: "A\0MUG".to_owned(), ..saga.order.items[0].clone() };
    saga.order.items = Arc::new([nul]);
    begin(store, &saga, lease(now)).await;
    let why = trellis_order::domain::Cancellation {
        reason: Reason::PaymentDeclined,
        detail: "no\0".to_owned(),
    };
    let turn = TurnBack { why, log: vec![entry("\0no", now)], now };
    let error = Some("\0away".to_owned());
    let step = Some(Step::Authorize);
    let put_off = Postponement { step, error, log: vec![entry("n\0o", now)], ..rest(now) };

    assert!(store.turn_back(saga.hold(), turn).await.unwrap());
    assert!(store.postpone(saga.hold(), put_off).await.unwrap());

    assert_eq!(records.order(&saga).await, saga.order);
    let claimed = store.claim_due(lease(now), now, 1).await.unwrap().remove(0);
    assert!(claimed.turned_back.unwrap().detail.starts_with("no"));
}

async fn one_row_that_makes_no_sense_stands_in_nobodys_way(records: Records<'_>) {
    let store = &*records.store;
    let broken = records.abandoned().await;
    records.clock.advance(Duration::from_secs(1));
    let sound = records.abandoned().await;
    let now = records.now();
    let tampering = "UPDATE orders SET items = '[1]'
                      WHERE create_time = (SELECT min(create_time) FROM orders)";
    records.database.tamper(tampering).await;

    let claimed = store.claim_due(lease(now), now, 2).await.unwrap();

    let claimed: Vec<_> = claimed.iter().map(|saga| saga.order.order_id).collect();
    assert_eq!(claimed, [sound.order.order_id]);
    let Order { user_id, order_id, .. } = broken.order;
    let error = store.order(user_id, order_id).await.unwrap_err();
    assert!(matches!(error, Error::Statement(_)), "{error:?}");
}

async fn a_cart_is_in_the_order_of_bytes(records: Records<'_>) {
    let mut skus = ["A1", "A-B", "AA", "A-1", "B", "1A"];
    let mut set = Vec::new();
    for sku in skus {
        let quantity = 1.try_into().ok();
        let set_item = records.store.set_cart_item(
            records.user_id,
            sku.parse().unwrap(),
            quantity,
            records.now(),
        );
        set = set_item.await.unwrap().unwrap().lines;
    }
    skus.sort_unstable();

    let cart = records.store.cart(records.user_id).await.unwrap();

    assert_eq!(cart.iter().map(|line| line.sku.as_str()).collect::<Vec<_>>(), skus);
    assert_eq!(set, cart);
}

#[tokio::test]
async fn a_store_keeps_what_a_saga_did_and_no_secret() {
    let shop = Ground::new().await.open().await;
    shop.buy("tok_ok").await;
    shop.checkout(shop.purchase("tok_declined")).await.unwrap_err();

    let database = &shop.ground.database;
    let done = "SELECT CAST(count(*) AS text) FROM sagas WHERE state = 'done'";
    assert_eq!(text(database, done).await, "2");
    let secrets = "SELECT CAST(count(*) AS text) FROM sagas WHERE payment_token IS NOT NULL";
    assert_eq!(text(database, secrets).await, "0");
    let log = "
        SELECT string_agg(step || ': ' || outcome, '; ' ORDER BY sequence)
          FROM saga_log
          JOIN orders USING (order_id)
         WHERE state = 'cancelled'
    ";
    assert_eq!(
        text(database, log).await,
        "reserve: done; authorize: refused: declined; turn_back: PAYMENT_DECLINED; \
         release: done; void: done; end: STATE_CANCELLED",
    );
    let sequences = "
        SELECT string_agg(CAST(sequence AS text), ' ' ORDER BY sequence)
          FROM saga_log
          JOIN orders USING (order_id)
         WHERE state = 'cancelled'
    ";
    assert_eq!(text(database, sequences).await, "1 2 3 4 5 6");
}

#[tokio::test]
async fn sqlite_frees_what_a_dead_process_held() {
    let database = Database::sqlite("order");
    let records = Records::open(&database).await;
    records.begun().await;
    let now = records.now();
    assert!(records.store.claim_due(lease(now), now, 32).await.unwrap().is_empty());

    drop(records);
    let store = Records::open(&database).await.store;

    assert_eq!(store.free_orphans().await.unwrap(), 1);
    let claimed = store.claim_due(lease(now), now, 32).await.unwrap();
    assert_eq!(claimed.iter().map(|saga| saga.fence).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn postgres_gives_what_a_dead_process_held_to_others_when_its_lease_has_lapsed() {
    let Some(database) = Database::postgres().await else { return };
    let records = Records::open(&database).await;
    let Saga { fence, .. } = records.begun().await;
    let now = records.now();

    drop(records);
    let store = Records::open(&database).await.store;

    assert_eq!(store.free_orphans().await.unwrap(), 0);
    let before = now + Duration::from_secs(30);
    assert!(store.claim_due(lease(before), before, 32).await.unwrap().is_empty());
    let after = before + Duration::from_micros(1);
    let claimed = store.claim_due(lease(after), after, 32).await.unwrap();
    assert_eq!(claimed.iter().map(|saga| saga.fence).collect::<Vec<_>>(), [fence + 1]);
}

/// The one text that a query answers, which has to mean the same in each database.
async fn text(database: &Database, query: &str) -> String {
    // Of two shards, one has what the test has written.
    let found = database.query(query).await.unwrap().into_iter().flatten().flatten();
    found.reduce(|found, other| if found == "0" { other } else { found }).unwrap()
}

async fn open(database: &Database) -> Records<'_> {
    Records::open(database).await
}

trellis_testkit::on_each_database! {
    open, and shards:
    only_the_latest_holder_writes,
    a_request_begins_one_order,
    the_longest_overdue_is_claimed_first,
    a_saga_that_is_taken_over_is_as_it_was_left,
    what_others_say_may_have_a_nul,
    one_row_that_makes_no_sense_stands_in_nobodys_way,
    a_cart_is_in_the_order_of_bytes,
}
