//! The order in which what is kept can be read.
//!
//! A row gets its number when it is written, and can be seen when its transaction commits:
//! of two writers, the one with the higher number may be seen first. Whoever reads up to
//! that one and goes on behind it never sees the other. So a writer holds a lock from
//! before it takes a number until it commits, and writers share that lock. A reader takes
//! it alone, for a moment in which no writer has a number that cannot be seen yet, and
//! reads no further than the numbers went in that moment.
//!
//! What would do as well, and costs more:
//!
//! - Writers that exclude one another until they commit wait for the disk one after the
//!   other. Here the writers of a moment share that wait.
//! - Reading only what is older than all transactions under way (`pg_snapshot_xmin`) waits
//!   for those of every database on the server, so a long one of a stranger would stop all
//!   learning. And ids of transactions mean nothing once the tables are restored elsewhere.

use trellis_storage::{Error, Tx};

use crate::domain::Position;

/// The key of the lock, which writers share; in a database, only migrations use another.
pub(super) const LOCK: i64 = i64::from_be_bytes(*b"learning");

/// What numbers were given. They say nothing about what can be seen: only that there is
/// nothing new.
pub(super) async fn head(mut tx: Tx) -> Result<Position, Error> {
    let (baskets, views) = sqlx::query_as(
        "
        SELECT coalesce(pg_sequence_last_value('baskets_sequence'), 0),
               coalesce(pg_sequence_last_value('product_views_version'), 0)
        ",
    )
    .fetch_one(&mut *tx)
    .await?;
    Ok(Position { baskets, views })
}

/// How far a reader can go: all that has a number up to here can be seen from now on, or
/// never will be.
///
/// Waits for the writers of the moment, and those that come later wait for this. It gives
/// up after a second, which is less than writers wait: one that is stuck must not have
/// the others fail.
pub(super) async fn horizon(mut tx: Tx) -> Result<Position, Error> {
    let (baskets, views) = sqlx::query_as(
        "
        WITH patience AS MATERIALIZED (
            SELECT set_config('lock_timeout', '1s', true)
        ),
        turn AS MATERIALIZED (
            SELECT pg_advisory_xact_lock($1) FROM patience
        )
        SELECT coalesce(pg_sequence_last_value('baskets_sequence'), 0),
               coalesce(pg_sequence_last_value('product_views_version'), 0)
          FROM turn
        ",
    )
    .bind(LOCK)
    .fetch_one(&mut *tx)
    .await?;
    Ok(Position { baskets, views })
}
