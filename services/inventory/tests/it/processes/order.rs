//! The order of the batches of one process.

use sqlx::{Connection as _, PgConnection};

use super::{processes, until_waiting};
use crate::kit::{NOW, assert_sound, new_id, reserve, stock};

#[tokio::test]
async fn no_batch_overtakes_an_earlier_one_that_has_to_wait() {
    let Some((database, stores)) = processes(1).await else { return };
    stock(&*stores[0], &[("MUG", 1), ("TEA", 1)]).await;
    let mut other = PgConnection::connect(database.url()).await.unwrap();
    let mut transaction = other.begin().await.unwrap();
    sqlx::query("SELECT FROM stock WHERE sku = 'MUG' FOR UPDATE")
        .execute(&mut *transaction)
        .await
        .unwrap();

    let early = vec![reserve(new_id(), &[("MUG", 1), ("TEA", 1)])];
    let late = vec![reserve(new_id(), &[("TEA", 1)])];
    let (early, late, ()) = tokio::join!(
        biased;
        stores[0].reserve_batch(early, NOW),
        stores[0].reserve_batch(late, NOW),
        async {
            until_waiting(&database, 1).await;
            transaction.rollback().await.unwrap();
        },
    );

    assert!(early.unwrap()[0].is_ok());
    assert!(late.unwrap()[0].is_err());
    assert_sound(&*stores[0]).await;
}
