//! Which events a consumer has applied, so that a repetition changes nothing.

pub mod postgres;

use rusqlite::Connection;
use time::OffsetDateTime;
use trellis_storage::{Error, Migration, Sqlite, micros};

pub use postgres::{PostgresInbox, ShardedInbox};

/// The table; put it among a service's own migrations.
pub const MIGRATION: Migration =
    Migration { name: "inbox_0001", sql: include_str!("inbox/0001.sql") };

/// What housekeeping needs of an inbox.
#[async_trait::async_trait]
pub trait Inbox: Send + Sync {
    /// Forgets at most `limit` events that were applied before `before`; says how many.
    async fn purge(&self, before: OffsetDateTime, limit: u32) -> Result<usize, Error>;
}

/// An inbox in a service's own database.
#[derive(Clone, Debug)]
pub struct SqliteInbox {
    database: Sqlite,
}

/// Notes that `consumer` applies the event in this transaction.
///
/// `false`: it was applied before, and the caller must change nothing.
pub fn admit(
    tx: &Connection,
    consumer: &str,
    event_id: &str,
    now: OffsetDateTime,
) -> Result<bool, Error> {
    let mut statement = tx.prepare_cached(
        "
        INSERT INTO inbox (consumer, event_id, create_time)
        VALUES (?1, ?2, ?3)
        ON CONFLICT DO NOTHING
        ",
    )?;
    Ok(statement.execute((consumer, event_id, micros(now)))? == 1)
}

impl SqliteInbox {
    /// An inbox in `database`, whose migrations include this one.
    pub fn new(database: Sqlite) -> Self {
        Self { database }
    }
}

#[async_trait::async_trait]
impl Inbox for SqliteInbox {
    async fn purge(&self, before: OffsetDateTime, limit: u32) -> Result<usize, Error> {
        self.database.write(move |tx| purge(tx, before, limit)).await
    }
}

fn purge(tx: &Connection, before: OffsetDateTime, limit: u32) -> Result<usize, Error> {
    let mut statement = tx.prepare_cached(
        "
        DELETE FROM inbox
         WHERE (consumer, event_id) IN (
               SELECT consumer, event_id
                 FROM inbox
                WHERE create_time < ?1
                ORDER BY create_time
                LIMIT ?2)
        ",
    )?;
    Ok(statement.execute((micros(before), limit))?)
}
