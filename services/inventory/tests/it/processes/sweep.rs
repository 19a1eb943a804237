//! Sweepers that meet one another, or somebody else.

use std::sync::Arc;

use sqlx::{Connection as _, PgConnection};
use trellis_inventory::domain::State;
use trellis_inventory::expiry;
use trellis_inventory::store::Store;

use super::{at_once, processes, reserve_one, until_waiting};
use crate::kit::{NOW, TTL, assert_sound, available, new_id, reserve, stock};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_lapsed_is_given_back_once_however_many_sweep() {
    let Some((_database, stores)) = processes(4).await else { return };
    stock(&*stores[0], &[("MUG", 1_000), ("TEA", 1_000)]).await;
    for _ in 0..4 {
        let batch = (0..64).map(|_| reserve(new_id(), &[("MUG", 1), ("TEA", 2)])).collect();
        stores[0].reserve_batch(batch, NOW).await.unwrap();
    }

    let sweep = |store: Arc<dyn Store>| {
        Box::pin(async move {
            let mut all = 0;
            loop {
                match store.expire(10, NOW + TTL).await.unwrap() {
                    0 => return all,
                    expired => all += expired,
                }
            }
        }) as _
    };
    let expired: Vec<u32> = at_once(&stores, [sweep; 4]).await;

    assert_eq!(expired.iter().sum::<u32>(), 256);
    assert_eq!(available(&*stores[0], "MUG").await, 1_000);
    assert_sound(&*stores[0]).await;
}

#[tokio::test]
async fn a_sweep_is_over_only_when_what_others_had_locked_is_given_back_too() {
    let Some((database, stores)) = processes(1).await else { return };
    stock(&*stores[0], &[("MUG", 10)]).await;
    let (locked, free) = (new_id(), new_id());
    for id in [locked, free] {
        reserve_one(&*stores[0], id, &[("MUG", 1)]).await.unwrap();
    }
    let mut other = PgConnection::connect(database.url()).await.unwrap();
    let mut transaction = other.begin().await.unwrap();
    sqlx::query("SELECT FROM reservations WHERE reservation_id = $1 FOR UPDATE")
        .bind(locked.uuid())
        .execute(&mut *transaction)
        .await
        .unwrap();

    let mut sweep = std::pin::pin!(expiry::sweep(&*stores[0], NOW + TTL));
    tokio::select! {
        () = until_waiting(&database, 1) => {}
        swept = &mut sweep => panic!("it has not waited: {swept:?}"),
    }
    assert_eq!(stores[0].reservation(free).await.unwrap().state, State::Expired);
    transaction.rollback().await.unwrap();

    assert_eq!(sweep.await.unwrap(), 2);
    assert_eq!(stores[0].reservation(locked).await.unwrap().state, State::Expired);
    assert_sound(&*stores[0]).await;
}
