//! A hunt for deadlocks, which the stores would hide, since they do such a unit again.

use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{Rng as _, RngExt as _};
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinSet;
use trellis_api::id::ReservationId;
use trellis_inventory::domain::Adjustment;
use trellis_inventory::error::Error;
use trellis_inventory::store::Store;
use uuid::Uuid;

use super::processes;
use crate::kit::{NOW, TTL, assert_sound, import, new_id, reserve, sku, stock};

const SKUS: [&str; 8] = ["A", "B", "C", "D", "E", "F", "G", "H"];
const TASKS: usize = 16;
const ROUNDS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_done_at_once_nobody_waits_in_a_circle() {
    let Some((database, stores)) = processes(4).await else { return };
    stock(&*stores[0], &SKUS.map(|name| (name, 100))).await;

    let mut tasks = JoinSet::new();
    for store in stores.iter().cycle().take(TASKS).cloned() {
        tasks.spawn(async move {
            let mut ids = Vec::new();
            for _ in 0..ROUNDS {
                ids.extend(one_batch(&*store).await);
                let id = one_of(&ids);
                something(&*store, id).await;
            }
        });
    }
    tasks.join_all().await;

    assert_sound(&*stores[0]).await;
    assert_eq!(deadlocks(database.url()).await, 0);
}

/// A batch of orders, each of some of the products, in any order.
async fn one_batch(store: &dyn Store) -> Vec<ReservationId> {
    let batch: Vec<_> = (0..rand::rng().random_range(1..8))
        .map(|_| {
            let mut skus = SKUS;
            skus.shuffle(&mut rand::rng());
            let count = rand::rng().random_range(1..5);
            let lines: Vec<_> = skus[..count].iter().map(|&sku| (sku, 1)).collect();
            reserve(new_id(), &lines)
        })
        .collect();
    let ids = batch.iter().map(|reserve| reserve.reservation_id).collect();
    store.reserve_batch(batch, NOW).await.unwrap();
    ids
}

/// Whatever else moves units. That it may come too late for this is no matter.
async fn something(store: &dyn Store, id: ReservationId) {
    let chosen = rand::rng().random_range(0..6);
    let done = match chosen {
        0 => store.commit(id, NOW).await.map(drop),
        1 => store.release(id, NOW).await.map(drop),
        2 => store.restock(id, NOW).await.map(drop),
        3 => store.expire(5, NOW + TTL).await.map(drop),
        4 => {
            let request_id = Uuid::from_u128(rand::rng().next_u64().into());
            let sku = sku(one_of(&SKUS));
            store.adjust_stock(Adjustment { request_id, sku, delta: 3 }, NOW).await.map(drop)
        }
        _ => {
            let mut skus = SKUS;
            skus.shuffle(&mut rand::rng());
            let title = format!("A thing {}", rand::rng().random_range(0..3));
            let imports = skus[..4].iter().map(|name| import(name, &title, 100_000));
            store.upsert_products(imports.collect(), NOW).await.map(drop)
        }
    };
    if let Err(error) = done {
        assert!(!matches!(error, Error::Storage(_) | Error::Inconsistent(_)), "{error}");
    }
}

fn one_of<T: Copy>(things: &[T]) -> T {
    *things.choose(&mut rand::rng()).unwrap()
}

/// How many there were. A session counts them for all to see at its end, so all end here.
pub(super) async fn deadlocks(url: &str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let others = "SELECT count(pg_terminate_backend(pid))
                    FROM pg_stat_activity
                   WHERE datname = current_database()
                     AND backend_type = 'client backend'
                     AND pid <> pg_backend_pid()";
    while sqlx::query_scalar::<_, i64>(others).fetch_one(&mut connection).await.unwrap() > 0 {}
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    sqlx::query_scalar(deadlocks).fetch_one(&mut connection).await.unwrap()
}
