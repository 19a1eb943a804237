//! What the models of all processes have learned, and what is gone.
//!
//! The one row of `forgotten` is locked by whoever deletes and by whoever begins to
//! follow: so they come one after the other, and nothing is deleted between the moment in
//! which a follower is told what is gone and the one in which it is known.

use sqlx::PgConnection;
use time::OffsetDateTime;
use trellis_storage::{Error, Tx};

use crate::domain::Position;
use crate::store::{FOLLOWING, Follower, Forgotten};

type Row = (i64, Option<OffsetDateTime>);

pub(super) async fn follow(
    mut tx: Tx,
    Follower(follower): Follower,
    now: OffsetDateTime,
) -> Result<Forgotten, Error> {
    let forgotten = lock(&mut tx).await?;
    sqlx::query(
        "
        INSERT INTO followers (follower, baskets, views, expire_time)
        VALUES ($1, 0, 0, $2)
        ON CONFLICT (follower) DO UPDATE
           SET baskets = 0, views = 0, expire_time = excluded.expire_time
        ",
    )
    .bind(follower)
    .bind(now + FOLLOWING)
    .execute(&mut *tx)
    .await?;
    Ok(forgotten)
}

/// What is gone, for one that only looks and is not waited for.
pub(super) async fn look(mut tx: Tx) -> Result<Forgotten, Error> {
    let row: Row =
        sqlx::query_as("SELECT baskets, until_time FROM forgotten").fetch_one(&mut *tx).await?;
    Ok(row.into())
}

/// Notes how far a follower is, and says how far all are; `None` if it was taken for gone.
pub(super) async fn learned_by_all(
    tx: &mut PgConnection,
    Follower(follower): Follower,
    learned: Position,
    now: OffsetDateTime,
) -> Result<Option<Position>, Error> {
    lock(tx).await?;
    let noted = sqlx::query(
        "
        UPDATE followers
           SET baskets = $2, views = $3, expire_time = $4
         WHERE follower = $1
        ",
    )
    .bind(follower)
    .bind(learned.baskets)
    .bind(learned.views)
    .bind(now + FOLLOWING)
    .execute(&mut *tx)
    .await?;
    if noted.rows_affected() == 0 {
        return Ok(None);
    }
    sqlx::query("DELETE FROM followers WHERE expire_time <= $1")
        .bind(now)
        .execute(&mut *tx)
        .await?;
    let (baskets, views) = sqlx::query_as("SELECT min(baskets), min(views) FROM followers")
        .fetch_one(&mut *tx)
        .await?;
    Ok(Some(Position { baskets, views }))
}

pub(super) async fn forgotten(tx: &mut PgConnection) -> Result<Forgotten, Error> {
    let row: Row =
        sqlx::query_as("SELECT baskets, until_time FROM forgotten").fetch_one(tx).await?;
    Ok(row.into())
}

async fn lock(tx: &mut PgConnection) -> Result<Forgotten, Error> {
    let row: Row = sqlx::query_as("SELECT baskets, until_time FROM forgotten FOR UPDATE")
        .fetch_one(tx)
        .await?;
    Ok(row.into())
}

impl From<Row> for Forgotten {
    fn from((baskets, until): Row) -> Self {
        Self { baskets, until }
    }
}
