//! What every store promises, asked of each.

use std::sync::Arc;

use time::Duration;
use trellis_inventory::domain::{Adjustment, Shortage, State};
use trellis_inventory::error::Error;
use trellis_inventory::store::Store;

use crate::kit::{NOW, TTL, available, new_id, open, reserve, sku, stock};

async fn a_batch_is_decided_in_its_order(store: Arc<dyn Store>) {
    stock(&*store, &[("MUG", 5)]).await;
    let batch = (0..8).map(|_| reserve(new_id(), &[("MUG", 1)])).collect();

    let verdicts = store.reserve_batch(batch, NOW).await.unwrap();

    let held: Vec<bool> = verdicts.iter().map(Result::is_ok).collect();
    assert_eq!(held, [true, true, true, true, true, false, false, false]);
}

async fn a_large_order_is_refused_and_a_small_one_after_it_is_not(store: Arc<dyn Store>) {
    stock(&*store, &[("MUG", 5), ("TEA", 1)]).await;
    let large = reserve(new_id(), &[("MUG", 6), ("TEA", 1)]);
    let small = reserve(new_id(), &[("MUG", 5), ("TEA", 1)]);

    let verdicts = store.reserve_batch(vec![large, small], NOW).await.unwrap();

    let Err(Error::OutOfStock(shortage)) = &verdicts[0] else { panic!("{:?}", verdicts[0]) };
    assert_eq!(*shortage, Shortage { sku: sku("MUG"), requested: 6, available: 5 });
    assert_eq!(verdicts[1].as_ref().unwrap().state, State::Held);
}

async fn a_repetition_within_one_batch_is_answered(store: Arc<dyn Store>) {
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

async fn an_empty_batch_has_no_verdicts(store: Arc<dyn Store>) {
    assert!(store.reserve_batch(Vec::new(), NOW).await.unwrap().is_empty());
}

async fn no_more_expire_at_once_than_asked(store: Arc<dyn Store>) {
    stock(&*store, &[("MUG", 10)]).await;
    let batch = (0..5).map(|_| reserve(new_id(), &[("MUG", 1)])).collect();
    store.reserve_batch(batch, NOW).await.unwrap();
    let later = NOW + TTL;

    assert_eq!(store.expire(3, later - Duration::MICROSECOND).await.unwrap(), 0);
    assert_eq!(store.expire(3, later).await.unwrap(), 3);
    assert_eq!(available(&*store, "MUG").await, 8);
    assert_eq!(store.expire(3, later).await.unwrap(), 2);
    assert_eq!(store.expire(3, later).await.unwrap(), 0);
    assert_eq!(available(&*store, "MUG").await, 10);
}

async fn only_old_requests_are_forgotten(store: Arc<dyn Store>) {
    stock(&*store, &[("MUG", 10)]).await;
    let adjustment = |number| Adjustment {
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

trellis_testkit::on_each_database! {
    open:
    a_batch_is_decided_in_its_order,
    a_large_order_is_refused_and_a_small_one_after_it_is_not,
    a_repetition_within_one_batch_is_answered,
    an_empty_batch_has_no_verdicts,
    no_more_expire_at_once_than_asked,
    only_old_requests_are_forgotten,
}
