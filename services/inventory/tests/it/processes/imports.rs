//! Imports that meet one another.

use std::sync::Arc;

use sqlx::{Connection as _, PgConnection};
use time::Duration;
use trellis_inventory::domain::Upserted;
use trellis_inventory::store::Store;

use super::{at_once, hunt, processes, until_waiting};
use crate::kit::{NOW, assert_sound, available, import};

/// The same twenty products, each time with another title and in another order.
async fn bring(store: Arc<dyn Store>, turn: usize) -> Upserted {
    let mut skus: Vec<_> = (0..20).map(|number| format!("SKU-{number}")).collect();
    skus.rotate_left(turn);
    let imports = skus.iter().map(|sku| import(sku, &format!("Number {turn}"), 7)).collect();
    store.upsert_products(imports, NOW).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn imports_of_the_same_products_at_once_come_one_after_the_other() {
    let Some((database, stores)) = processes(2).await else { return };

    let bring = |turn| move |store| Box::pin(bring(store, turn)) as _;
    let done: Vec<Upserted> = at_once(&stores, (0..16).map(bring)).await;

    assert_eq!(done.iter().map(|upserted| upserted.created).sum::<i64>(), 20);
    assert_eq!(done.iter().map(|upserted| upserted.updated).sum::<i64>(), 15 * 20);
    // The last one has changed all of them, and each one after the first made them newer.
    let all = stores[0].products_after(None, 100).await.unwrap();
    let title = &all[0].title;
    assert!(all.iter().all(|product| product.title == *title));
    let newest = NOW + Duration::microseconds(15);
    assert!(all.iter().all(|product| product.update_time == newest));
    let found = stores[0].search(title.as_str().parse().unwrap(), None, 100).await.unwrap();
    assert_eq!(found.len(), 20);
    assert_eq!(available(&*stores[0], "SKU-0").await, 7);
    assert_sound(&*stores[0]).await;
    assert_eq!(hunt::deadlocks(database.url()).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn imports_that_meet_halfway_do_not_wait_in_a_circle() {
    let Some((database, stores)) = processes(4).await else { return };
    let mut other = PgConnection::connect(database.url()).await.unwrap();
    let mut transaction = other.begin().await.unwrap();
    sqlx::query(
        "
        INSERT INTO products (sku, title, currency, price_minor, words, create_time, update_time)
        VALUES ('SKU-5', 'A thing', 'GBP', 1, '', now(), now())
        ",
    )
    .execute(&mut *transaction)
    .await
    .unwrap();

    let bring = |turn| move |store| Box::pin(bring(store, turn)) as _;
    let imports = at_once(&stores, (0..4).map(bring));
    let meet = async {
        until_waiting(&database, 4).await;
        transaction.rollback().await.unwrap();
    };
    let (done, ()): (Vec<Upserted>, ()) = tokio::join!(imports, meet);

    assert_eq!(done.iter().map(|upserted| upserted.created).sum::<i64>(), 20);
    assert_sound(&*stores[0]).await;
    assert_eq!(hunt::deadlocks(database.url()).await, 0);
}
