//! The outbox in SQLite.

mod receipts;

use std::sync::Arc;
use std::time::Duration;

use rusqlite::types::Type;
use rusqlite::{Connection, Row};
use time::OffsetDateTime;
use tokio::sync::Notify;
use trellis_api::timestamp;
use trellis_storage::{Error, Sqlite, from_micros, lease, micros};
use uuid::Uuid;

use super::{Backlog, Claim, Deposit, Due, Kept, LEASE, Lost, Outbox, Settlement, Verdict};
use crate::Event;
use crate::bus::{Delivery, Receipt};

/// An outbox in a service's own database. Clones share their wakes.
#[derive(Clone, Debug)]
pub struct SqliteOutbox {
    database: Sqlite,
    wake: Arc<Notify>,
}

impl SqliteOutbox {
    /// An outbox in `database`, whose migrations include this one's and the lease's.
    pub fn new(database: Sqlite) -> Self {
        Self { database, wake: Arc::default() }
    }

    /// Tells the relay that something is due; call it after the commit.
    pub fn wake(&self) {
        self.wake.notify_one();
    }
}

#[async_trait::async_trait]
impl Outbox for SqliteOutbox {
    async fn claim(
        &self,
        owner: Uuid,
        ttl: Duration,
        now: OffsetDateTime,
    ) -> Result<Option<Claim>, Error> {
        let fence =
            self.database.write(move |tx| lease::acquire(tx, LEASE, owner, ttl, now)).await?;
        Ok(fence.map(|fence| Claim { owner, ttl, fence }))
    }

    async fn release(&self, owner: Uuid) -> Result<(), Error> {
        self.database.write(move |tx| lease::release(tx, LEASE, owner)).await
    }

    async fn due(&self, now: OffsetDateTime, limit: u32) -> Result<Vec<Due>, Error> {
        self.database.read(move |tx| due(tx, now, limit)).await
    }

    async fn settle(
        &self,
        claim: Claim,
        settlements: Vec<Settlement>,
        now: OffsetDateTime,
    ) -> Result<bool, Error> {
        self.database
            .write(move |tx| {
                let fence = lease::acquire(tx, LEASE, claim.owner, claim.ttl, now)?;
                if fence != Some(claim.fence) {
                    return Ok(false);
                }
                for settlement in &settlements {
                    settle(tx, settlement, now)?;
                }
                Ok(true)
            })
            .await
    }

    async fn kept(&self, stream: &str, skip: u32) -> Result<Option<Kept>, Error> {
        let stream = stream.to_owned();
        self.database.read(move |tx| receipts::kept(tx, &stream, skip)).await
    }

    async fn unpublish(&self, lost: Lost, limit: u32, now: OffsetDateTime) -> Result<usize, Error> {
        self.database.write(move |tx| receipts::unpublish(tx, &lost, limit, now)).await
    }

    async fn backlog(&self) -> Result<Backlog, Error> {
        self.database.read(backlog).await
    }

    async fn deposits(&self, since: Option<OffsetDateTime>) -> Result<Vec<Deposit>, Error> {
        self.database.read(move |tx| receipts::deposits(tx, since)).await
    }

    async fn purge(&self, before: OffsetDateTime, limit: u32) -> Result<usize, Error> {
        self.database.write(move |tx| purge(tx, before, limit)).await
    }

    fn wake(&self) {
        self.wake();
    }

    async fn woken(&self) {
        self.wake.notified().await;
    }
}

fn due(tx: &Connection, now: OffsetDateTime, limit: u32) -> Result<Vec<Due>, Error> {
    let mut statement = tx.prepare_cached(
        "
        SELECT sequence, event_id, kind, subject, payload, headers, create_time, attempts, losses
          FROM outbox
         WHERE published_time IS NULL
           AND next_attempt_time <= ?1
         ORDER BY next_attempt_time, sequence
         LIMIT ?2
        ",
    )?;
    let rows = statement.query_map((micros(now), limit), read_due)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn read_due(row: &Row<'_>) -> rusqlite::Result<Due> {
    let headers: String = row.get(5)?;
    let headers = serde_json::from_str(&headers)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(5, Type::Text, error.into()))?;
    let event = Event {
        event_id: row.get(1)?,
        r#type: row.get(2)?,
        subject: row.get(3)?,
        payload: row.get::<_, Vec<u8>>(4)?.into(),
        headers,
        create_time: Some(timestamp::to_proto(from_micros(row.get(6)?))),
    };
    let attempts: u32 = row.get(7)?;
    let attempt = attempts.saturating_add(1);
    let delivery = Delivery { event, attempt, losses: row.get(8)? };
    Ok(Due { sequence: row.get(0)?, delivery })
}

fn settle(tx: &Connection, settlement: &Settlement, now: OffsetDateTime) -> Result<(), Error> {
    let (counted, next_attempt_time) = match &settlement.verdict {
        Verdict::Published(receipt) => {
            return publish(tx, settlement.sequence, receipt.as_ref(), now);
        }
        Verdict::Refused { next_attempt_time } => (1, *next_attempt_time),
        Verdict::Postponed { next_attempt_time } => (0, *next_attempt_time),
    };
    tx.prepare_cached(
        "
        UPDATE outbox
           SET attempts = attempts + ?2,
               next_attempt_time = ?3
         WHERE sequence = ?1
           AND published_time IS NULL
        ",
    )?
    .execute((settlement.sequence, counted, micros(next_attempt_time)))?;
    Ok(())
}

fn publish(
    tx: &Connection,
    sequence: i64,
    receipt: Option<&Receipt>,
    now: OffsetDateTime,
) -> Result<(), Error> {
    tx.prepare_cached(
        "
        UPDATE outbox
           SET published_time = ?2,
               stream = ?3,
               stream_sequence = ?4
         WHERE sequence = ?1
           AND published_time IS NULL
        ",
    )?
    .execute((
        sequence,
        micros(now),
        receipt.map(|receipt| &*receipt.stream),
        receipt.map(|receipt| receipt.sequence.cast_signed()),
    ))?;
    Ok(())
}

fn backlog(tx: &Connection) -> Result<Backlog, Error> {
    let mut statement = tx.prepare_cached(
        "
        SELECT count(*), min(create_time)
          FROM outbox
         WHERE published_time IS NULL
        ",
    )?;
    let backlog = statement.query_row((), |row| {
        let oldest: Option<i64> = row.get(1)?;
        let count: i64 = row.get(0)?;
        Ok(Backlog { count: count.unsigned_abs(), oldest: oldest.map(from_micros) })
    })?;
    Ok(backlog)
}

/// Looks at the oldest rows only, so its cost is bounded and it needs no index.
fn purge(tx: &Connection, before: OffsetDateTime, limit: u32) -> Result<usize, Error> {
    let mut statement = tx.prepare_cached(
        "
        DELETE FROM outbox
         WHERE sequence IN (SELECT sequence FROM outbox ORDER BY sequence LIMIT ?2)
           AND published_time < ?1
        ",
    )?;
    Ok(statement.execute((micros(before), limit))?)
}
