//! Several processes on one Postgres database: each is a store that was opened for itself.
//!
//! On SQLite there is one process, whose units of work come one after the other.

mod hunt;
mod imports;
mod order;
mod plans;
mod sweep;

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinSet;
use trellis_api::id::ReservationId;
use trellis_inventory::domain::{Adjustment, State};
use trellis_inventory::error::Error;
use trellis_inventory::store::{Store, Verdict};
use trellis_storage::Options;
use trellis_testkit::Database;
use uuid::Uuid;

use crate::kit::{NOW, assert_sound, available, new_id, open_with, reserve, sku, stock};

/// The stores of so many processes; `None` where there is no Postgres.
async fn processes(count: usize) -> Option<(Database, Vec<Arc<dyn Store>>)> {
    let database = Database::postgres().await?;
    let options = Options { connections: 40, ..Options::default() };
    let stores = join_all((0..count).map(|_| open_with(database.url(), &options))).await;
    Some((database, stores))
}

/// Has each task done by the stores in turn, all at once.
async fn at_once<T, F>(stores: &[Arc<dyn Store>], tasks: impl IntoIterator<Item = T>) -> Vec<F>
where
    T: FnOnce(Arc<dyn Store>) -> futures::future::BoxFuture<'static, F>,
    F: Send + 'static,
{
    let mut running = JoinSet::new();
    for (task, store) in tasks.into_iter().zip(stores.iter().cycle()) {
        running.spawn(task(Arc::clone(store)));
    }
    running.join_all().await
}

/// Returns when so many sessions wait for a lock.
async fn until_waiting(database: &Database, count: i64) {
    let mut observer = PgConnection::connect(database.url()).await.unwrap();
    let waiting = "SELECT count(*)
                     FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let look = async {
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut observer).await.unwrap() < count
        {
        }
    };
    tokio::time::timeout(Duration::from_mins(1), look).await.expect("nobody waits");
}

async fn reserve_one(store: &dyn Store, id: ReservationId, lines: &[(&str, i32)]) -> Verdict {
    let verdicts = store.reserve_batch(vec![reserve(id, lines)], NOW).await.unwrap();
    verdicts.into_iter().next().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_buyers_of_two_processes_race_for_fifty_units_and_fifty_win() {
    let Some((_database, stores)) = processes(2).await else { return };
    stock(&*stores[0], &[("MUG", 50)]).await;

    let buyer = |store: Arc<dyn Store>| {
        Box::pin(async move { reserve_one(&*store, new_id(), &[("MUG", 1)]).await }) as _
    };
    let verdicts: Vec<Verdict> = at_once(&stores, [buyer; 64]).await;

    assert_eq!(verdicts.iter().filter(|verdict| verdict.is_ok()).count(), 50);
    let refused = |verdict: &&Verdict| matches!(verdict, Err(Error::OutOfStock(_)));
    assert_eq!(verdicts.iter().filter(refused).count(), 14);
    assert_eq!(available(&*stores[1], "MUG").await, 0);
    assert_sound(&*stores[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_id_in_many_batches_holds_stock_once() {
    let Some((_database, stores)) = processes(2).await else { return };
    stock(&*stores[0], &[("MUG", 100), ("TEA", 100)]).await;
    let ids: Vec<_> = (0..8).map(|_| new_id()).collect();

    // Each batch has all of the ids, each of them twice, and begins with another one.
    let batch = |turn: usize| {
        let mut ids = ids.clone();
        ids.rotate_left(turn % 8);
        move |store: Arc<dyn Store>| {
            Box::pin(async move {
                let lines = [("MUG", 1), ("TEA", 2)];
                let batch = ids.iter().chain(&ids).map(|&id| reserve(id, &lines)).collect();
                store.reserve_batch(batch, NOW).await.unwrap()
            }) as _
        }
    };
    let answers: Vec<Vec<Verdict>> = at_once(&stores, (0..16).map(batch)).await;

    for verdict in answers.iter().flatten() {
        assert_eq!(verdict.as_ref().unwrap().state, State::Held);
    }
    assert_eq!(available(&*stores[1], "MUG").await, 92);
    assert_eq!(available(&*stores[1], "TEA").await, 84);
    assert_sound(&*stores[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_for_different_lines_at_once_is_held_for_one_of_them() {
    let Some((database, stores)) = processes(4).await else { return };
    let skus: Vec<String> = (0..8).map(|number| format!("SKU-{number}")).collect();
    let products: Vec<_> = skus.iter().map(|sku| (sku.as_str(), 4)).collect();
    stock(&*stores[0], &products).await;
    let ids: Vec<_> = (0..4).map(|_| new_id()).collect();

    // No two want the same stock, so none waits for another but by the ids.
    let batch = |(turn, sku): (usize, String)| {
        let mut ids = ids.clone();
        ids.rotate_left(turn % 4);
        move |store: Arc<dyn Store>| {
            Box::pin(async move {
                let batch = ids.iter().map(|&id| reserve(id, &[(&sku, 1)])).collect();
                store.reserve_batch(batch, NOW).await.unwrap()
            }) as _
        }
    };
    let answers: Vec<Vec<Verdict>> =
        at_once(&stores, skus.into_iter().enumerate().map(batch)).await;

    let held = answers.iter().flatten().filter_map(|verdict| verdict.as_ref().ok());
    let mut held: Vec<_> = held.map(|reservation| reservation.reservation_id).collect();
    held.sort();
    let mut all = ids.clone();
    all.sort();
    assert_eq!(held, all);
    let reused = |verdict: &&Verdict| matches!(verdict, Err(Error::IdReused));
    assert_eq!(answers.iter().flatten().filter(reused).count(), 7 * 4, "{answers:?}");
    assert_sound(&*stores[0]).await;
    assert_eq!(hunt::deadlocks(database.url()).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_meets_its_reserve_leaves_nothing_held() {
    let Some((_database, stores)) = processes(2).await else { return };
    stock(&*stores[0], &[("MUG", 100)]).await;

    for _ in 0..16 {
        let id = new_id();
        let (verdict, released) =
            tokio::join!(reserve_one(&*stores[0], id, &[("MUG", 1)]), stores[1].release(id, NOW),);
        assert_eq!(released.unwrap().state, State::Released);
        match verdict {
            Ok(held) => assert_eq!(held.state, State::Held),
            Err(refused) => assert!(matches!(refused, Error::Refused(_)), "{refused}"),
        }
        assert_eq!(stores[0].reservation(id).await.unwrap().state, State::Released);
    }

    assert_eq!(available(&*stores[0], "MUG").await, 100);
    assert_sound(&*stores[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reservation_ends_once_whoever_ends_it() {
    let Some((_database, stores)) = processes(2).await else { return };
    stock(&*stores[0], &[("MUG", 100)]).await;

    for _ in 0..16 {
        let id = new_id();
        reserve_one(&*stores[0], id, &[("MUG", 1)]).await.unwrap();
        let before = available(&*stores[0], "MUG").await;
        let (sold, again, released, expired) = tokio::join!(
            stores[0].commit(id, NOW),
            stores[1].commit(id, NOW),
            stores[0].release(id, NOW),
            stores[1].expire(10, NOW + crate::kit::TTL),
        );
        let state = stores[0].reservation(id).await.unwrap().state;
        assert_eq!(sold.is_ok(), state == State::Committed);
        assert_eq!(again.is_ok(), state == State::Committed);
        assert_eq!(released.is_ok(), state != State::Committed);
        assert_eq!(expired.unwrap() == 1, state == State::Expired);
        let freed = i64::from(state != State::Committed);
        assert_eq!(available(&*stores[0], "MUG").await, before + freed);
    }

    assert_sound(&*stores[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_adjustment_asked_for_at_once_happens_once() {
    let Some((_database, stores)) = processes(2).await else { return };
    stock(&*stores[0], &[("MUG", 10)]).await;

    let ask = |store: Arc<dyn Store>| {
        Box::pin(async move {
            let request_id = Uuid::from_u128(1);
            let adjustment = Adjustment { request_id, sku: sku("MUG"), delta: 5 };
            store.adjust_stock(adjustment, NOW).await.unwrap().on_hand
        }) as _
    };
    let answers: Vec<i64> = at_once(&stores, [ask; 16]).await;

    assert_eq!(answers, [15; 16]);
    assert_eq!(available(&*stores[0], "MUG").await, 15);
    assert_sound(&*stores[0]).await;
}
