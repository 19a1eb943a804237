//! How the database finds what a batch needs, on tables that were empty a moment ago.

use sqlx::{Connection as _, PgConnection};

use super::{hunt, processes};
use crate::kit::{NOW, new_id, reserve, stock};

#[tokio::test]
async fn a_session_that_began_with_empty_tables_never_reads_them_whole() {
    let Some((database, stores)) = processes(1).await else { return };
    stock(&*stores[0], &[("MUG", 10_000)]).await;

    // More often than it takes until a session keeps a plan.
    for _ in 0..12 {
        let ids: Vec<_> = (0..20).map(|_| new_id()).collect();
        let batch = ids.iter().map(|&id| reserve(id, &[("MUG", 1)])).collect();
        stores[0].reserve_batch(batch, NOW).await.unwrap();
        stores[0].commit(ids[0], NOW).await.unwrap();
        stores[0].release(ids[1], NOW).await.unwrap();
    }

    // Sessions count for all to see at their end.
    hunt::deadlocks(database.url()).await;
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let read = "SELECT coalesce(sum(seq_tup_read), 0)::bigint
                  FROM pg_stat_user_tables
                 WHERE relname IN ('reservations', 'reservation_lines')";
    let read: i64 = sqlx::query_scalar(read).fetch_one(&mut connection).await.unwrap();
    assert_eq!(read, 0, "rows were read that nobody asked for");
}
