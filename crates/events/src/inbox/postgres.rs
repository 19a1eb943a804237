//! The inbox in Postgres.

use sqlx::PgConnection;
use time::OffsetDateTime;
use trellis_api::id::Bucket;
use trellis_storage::{Error, Migration, Postgres, Shards, Tx};
use uuid::Uuid;

use super::Inbox;

/// The table; put it among a service's own migrations.
pub const MIGRATION: Migration =
    Migration { name: "inbox_0001", sql: include_str!("postgres.sql") };

/// An inbox in a service's own database.
#[derive(Clone, Debug)]
pub struct PostgresInbox {
    database: Postgres,
}

/// Notes that `consumer` applies the event in this transaction. Waits for another one
/// that does.
///
/// `false`: it was applied before, and the caller must change nothing.
pub async fn admit(
    tx: &mut PgConnection,
    consumer: &str,
    event_id: &str,
    now: OffsetDateTime,
) -> Result<bool, Error> {
    // What is no UUID becomes NULL, which the table refuses.
    let event_id: Option<Uuid> = event_id.parse().ok();
    let admitted = sqlx::query(
        "
        INSERT INTO inbox (consumer, bucket, event_id, create_time)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING
        ",
    )
    .bind(consumer)
    .bind(event_id.map(|id| Bucket::of(id).get().cast_signed()))
    .bind(event_id)
    .bind(now)
    .execute(tx)
    .await?;
    Ok(admitted.rows_affected() == 1)
}

impl PostgresInbox {
    /// An inbox in `database`, whose migrations include this one.
    pub fn new(database: Postgres) -> Self {
        Self { database }
    }
}

#[async_trait::async_trait]
impl Inbox for PostgresInbox {
    async fn purge(&self, before: OffsetDateTime, limit: u32) -> Result<usize, Error> {
        self.database.write(|tx| purge(tx, before, limit)).await
    }
}

/// The inboxes of databases that share what a service keeps.
#[derive(Clone, Debug)]
pub struct ShardedInbox {
    shards: Shards,
}

impl ShardedInbox {
    /// That of `shards`, whose migrations include this one.
    pub fn new(shards: Shards) -> Self {
        Self { shards }
    }
}

#[async_trait::async_trait]
impl Inbox for ShardedInbox {
    async fn purge(&self, before: OffsetDateTime, limit: u32) -> Result<usize, Error> {
        let mut purged = 0;
        for shard in self.shards.each() {
            purged += Shards::sweep(shard, |tx| sweep(tx, before, limit)).await?;
        }
        Ok(purged)
    }
}

async fn sweep(mut tx: Tx, before: OffsetDateTime, limit: u32) -> Result<usize, Error> {
    let purged = sqlx::query(
        "
        DELETE FROM inbox
         WHERE (consumer, bucket, event_id) IN (
               SELECT consumer, bucket, event_id
                 FROM inbox
                WHERE create_time < $1
                  AND shard_has(bucket)
                ORDER BY create_time
                LIMIT $2
                  FOR UPDATE SKIP LOCKED)
        ",
    )
    .bind(before)
    .bind(i64::from(limit))
    .execute(&mut *tx)
    .await?;
    Ok(usize::try_from(purged.rows_affected()).unwrap_or(usize::MAX))
}

async fn purge(mut tx: Tx, before: OffsetDateTime, limit: u32) -> Result<usize, Error> {
    let purged = sqlx::query(
        "
        DELETE FROM inbox
         WHERE (consumer, bucket, event_id) IN (
               SELECT consumer, bucket, event_id
                 FROM inbox
                WHERE create_time < $1
                ORDER BY create_time
                LIMIT $2
                  FOR UPDATE SKIP LOCKED)
        ",
    )
    .bind(before)
    .bind(i64::from(limit))
    .execute(&mut *tx)
    .await?;
    Ok(usize::try_from(purged.rows_affected()).unwrap_or(usize::MAX))
}
