//! What every store promises, asked of each.

use std::sync::Arc;

use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use trellis_api::id::{Bucket, ReservationId};
use trellis_api::{Money, Sku};
use trellis_inventory::domain::{Import, Line, Lines, Reserve, Shortage, State};
use trellis_inventory::error::Error;
use trellis_inventory::store::{self, Store};
use trellis_storage::{Faults, Options, Url, When};

const NOW: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);

#[tokio::test]
async fn sqlite_decides_a_batch_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    decides_a_batch_in_its_order(crate::fixture::open(&folder).await).await;
}

#[tokio::test]
async fn sqlite_takes_a_large_order_over_none_and_a_small_one_after_it() {
    let folder = tempfile::tempdir().unwrap();
    refuses_only_what_is_missing(crate::fixture::open(&folder).await).await;
}

#[tokio::test]
async fn sqlite_answers_a_repetition_within_one_batch() {
    let folder = tempfile::tempdir().unwrap();
    answers_a_repetition_within_one_batch(crate::fixture::open(&folder).await).await;
}

#[tokio::test]
async fn sqlite_expires_no_more_at_once_than_asked() {
    let folder = tempfile::tempdir().unwrap();
    expires_no_more_at_once_than_asked(crate::fixture::open(&folder).await).await;
}

#[tokio::test]
async fn sqlite_forgets_only_old_requests() {
    let folder = tempfile::tempdir().unwrap();
    forgets_only_old_requests(crate::fixture::open(&folder).await).await;
}

#[tokio::test]
async fn what_sqlite_has_answered_survives_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let database = Url::Sqlite(folder.path().join("inventory.db"));
    let (first, second) = (new_id(), new_id());
    {
        // The third commit is the second reservation's: it is kept, but nobody hears of it.
        let options = Options { faults: Faults::crash(3, When::AfterCommit), ..Options::default() };
        let store = store::open(&database, &options).await.unwrap();
        stock(&*store, &[("MUG", 10)]).await;
        store.reserve_batch(vec![reserve(first, &[("MUG", 1)])], NOW).await.unwrap();
        store.reserve_batch(vec![reserve(second, &[("MUG", 1)])], NOW).await.unwrap_err();
    }

    let store = crate::fixture::open(&folder).await;
    for id in [first, second] {
        assert_eq!(store.reservation(id).await.unwrap().state, State::Held);
        store.reserve_batch(vec![reserve(id, &[("MUG", 1)])], NOW).await.unwrap()[0]
            .as_ref()
            .unwrap();
    }
    assert_eq!(available(&*store, "MUG").await, 8);
}

async fn decides_a_batch_in_its_order(store: Arc<dyn Store>) {
    stock(&*store, &[("MUG", 5)]).await;
    let batch = (0..8).map(|_| reserve(new_id(), &[("MUG", 1)])).collect();

    let verdicts = store.reserve_batch(batch, NOW).await.unwrap();

    let held: Vec<bool> = verdicts.iter().map(Result::is_ok).collect();
    assert_eq!(held, [true, true, true, true, true, false, false, false]);
}

async fn refuses_only_what_is_missing(store: Arc<dyn Store>) {
    stock(&*store, &[("MUG", 5), ("TEA", 1)]).await;
    let large = reserve(new_id(), &[("MUG", 6), ("TEA", 1)]);
    let small = reserve(new_id(), &[("MUG", 5), ("TEA", 1)]);

    let verdicts = store.reserve_batch(vec![large, small], NOW).await.unwrap();

    let Err(Error::OutOfStock(shortage)) = &verdicts[0] else { panic!("{:?}", verdicts[0]) };
    assert_eq!(*shortage, Shortage { sku: sku("MUG"), requested: 6, available: 5 });
    assert_eq!(verdicts[1].as_ref().unwrap().state, State::Held);
}

async fn answers_a_repetition_within_one_batch(store: Arc<dyn Store>) {
    stock(&*store, &[("MUG", 5)]).await;
    let (id, other) = (new_id(), new_id());
    let batch = vec![
        reserve(id, &[("MUG", 3)]),
        reserve(id, &[("MUG", 3)]),
        reserve(id, &[("MUG", 2)]),
        reserve(other, &[("MUG", 2)]),
    ];

    let verdicts = store.reserve_batch(batch, NOW).await.unwrap();

    assert_eq!(verdicts[0].as_ref().unwrap(), verdicts[1].as_ref().unwrap());
    assert!(matches!(verdicts[2], Err(Error::IdReused)));
    assert_eq!(verdicts[3].as_ref().unwrap().state, State::Held);
    assert_eq!(available(&*store, "MUG").await, 0);
}

async fn expires_no_more_at_once_than_asked(store: Arc<dyn Store>) {
    stock(&*store, &[("MUG", 10)]).await;
    let batch = (0..5).map(|_| reserve(new_id(), &[("MUG", 1)])).collect();
    store.reserve_batch(batch, NOW).await.unwrap();
    let later = NOW + Duration::minutes(15);

    assert_eq!(store.expire(3, later - Duration::MICROSECOND).await.unwrap(), 0);
    assert_eq!(store.expire(3, later).await.unwrap(), 3);
    assert_eq!(available(&*store, "MUG").await, 8);
    assert_eq!(store.expire(3, later).await.unwrap(), 2);
    assert_eq!(store.expire(3, later).await.unwrap(), 0);
    assert_eq!(available(&*store, "MUG").await, 10);
}

async fn forgets_only_old_requests(store: Arc<dyn Store>) {
    stock(&*store, &[("MUG", 10)]).await;
    let adjustment = |number| trellis_inventory::domain::Adjustment {
        request_id: uuid::Uuid::from_u128(number),
        sku: sku("MUG"),
        delta: 1,
    };
    let later = NOW + Duration::HOUR;
    store.adjust_stock(adjustment(1), NOW).await.unwrap();
    store.adjust_stock(adjustment(2), later).await.unwrap();

    assert_eq!(store.purge_requests(later).await.unwrap(), 1);
    assert_eq!(store.purge_requests(later).await.unwrap(), 0);

    let kept = store.adjust_stock(adjustment(2), later).await.unwrap();
    assert_eq!(kept.on_hand, 12);
    let forgotten = store.adjust_stock(adjustment(1), later).await.unwrap();
    assert_eq!(forgotten.on_hand, 13);
}

async fn stock(store: &dyn Store, products: &[(&str, i64)]) {
    let imports = products
        .iter()
        .map(|&(name, on_hand)| Import {
            sku: sku(name),
            title: "A thing".parse().unwrap(),
            price: Money::new("GBP".parse().unwrap(), 1_250),
            on_hand: on_hand.try_into().unwrap(),
        })
        .collect();
    store.upsert_products(imports, NOW).await.unwrap();
}

async fn available(store: &dyn Store, name: &str) -> i64 {
    store.products(vec![sku(name)]).await.unwrap()[0].available
}

fn reserve(reservation_id: ReservationId, lines: &[(&str, i32)]) -> Reserve {
    let lines = lines
        .iter()
        .map(|&(name, units)| Line { sku: sku(name), quantity: units.try_into().unwrap() })
        .collect();
    Reserve { reservation_id, lines: Lines::new(lines).unwrap(), ttl: Duration::minutes(15) }
}

fn new_id() -> ReservationId {
    ReservationId::new(NOW, Bucket::random())
}

fn sku(text: &str) -> Sku {
    text.parse().unwrap()
}
