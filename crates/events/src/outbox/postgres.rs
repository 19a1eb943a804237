//! The outbox in Postgres.

mod receipts;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use tokio::sync::Notify;
use trellis_api::id::Bucket;
use trellis_api::timestamp;
use trellis_storage::lease::postgres as lease;
use trellis_storage::{Error, Migration, Postgres, Tx};
use uuid::Uuid;

use super::{Backlog, Claim, Deposit, Due, Kept, LEASE, Lost, Outbox, Settlement, Verdict};
use crate::Event;
use crate::bus::Delivery;

/// The table; put it among a service's own migrations.
pub const MIGRATION: Migration =
    Migration { name: "outbox_0001", sql: include_str!("postgres.sql") };

/// The columns for receipts; put it among a service's own migrations, behind
/// [`MIGRATION`].
pub const RECEIPTS: Migration =
    Migration { name: "outbox_0002", sql: include_str!("postgres_0002.sql") };

/// An outbox in a service's own database. Clones share their wakes; the relays of other
/// processes look by themselves.
#[derive(Clone, Debug)]
pub struct PostgresOutbox {
    database: Postgres,
    wake: Arc<Notify>,
}

impl PostgresOutbox {
    /// An outbox in `database`, whose migrations include this one's and the lease's.
    pub fn new(database: Postgres) -> Self {
        Self { database, wake: Arc::default() }
    }

    /// Tells the relay that something is due; call it after the commit.
    pub fn wake(&self) {
        self.wake.notify_one();
    }
}

#[derive(FromRow)]
struct Row {
    sequence: i64,
    event_id: Uuid,
    kind: String,
    subject: String,
    payload: Vec<u8>,
    headers: String,
    create_time: OffsetDateTime,
    attempts: i32,
    losses: i32,
}

/// Adds an event to the transaction; call [`Outbox::wake`] once it is committed.
pub async fn append(tx: &mut PgConnection, event: &Event) -> Result<(), Error> {
    let headers = serde_json::to_string(&event.headers).expect("texts can be written as JSON");
    // What is missing or is no UUID becomes NULL, which the table refuses.
    let event_id: Option<Uuid> = event.event_id.parse().ok();
    let create_time = event.create_time.as_ref().and_then(timestamp::from_proto);
    sqlx::query(
        "
        INSERT INTO outbox
               (bucket, event_id, kind, subject, payload, headers, create_time, next_attempt_time)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
        ",
    )
    .bind(event_id.map(|id| Bucket::of(id).get().cast_signed()))
    .bind(event_id)
    .bind(&event.r#type)
    .bind(&event.subject)
    .bind(&event.payload[..])
    .bind(headers)
    .bind(create_time)
    .execute(tx)
    .await?;
    Ok(())
}

#[async_trait::async_trait]
impl Outbox for PostgresOutbox {
    async fn claim(
        &self,
        owner: Uuid,
        ttl: Duration,
        now: OffsetDateTime,
    ) -> Result<Option<Claim>, Error> {
        let acquire = async |mut tx: Tx| lease::acquire(&mut tx, LEASE, owner, ttl, now).await;
        let fence = self.database.write(acquire).await?;
        Ok(fence.map(|fence| Claim { owner, ttl, fence }))
    }

    async fn release(&self, owner: Uuid) -> Result<(), Error> {
        self.database
            .write(|mut tx| async move { lease::release(&mut tx, LEASE, owner).await })
            .await
    }

    async fn due(&self, now: OffsetDateTime, limit: u32) -> Result<Vec<Due>, Error> {
        self.database.look_up(|tx| due(tx, now, limit)).await
    }

    async fn settle(
        &self,
        claim: Claim,
        settlements: Vec<Settlement>,
        now: OffsetDateTime,
    ) -> Result<bool, Error> {
        self.database.write(|tx| settle(tx, claim, &settlements, now)).await
    }

    async fn kept(&self, stream: &str, skip: u32) -> Result<Option<Kept>, Error> {
        self.database.look_up(|tx| receipts::kept(tx, stream, skip)).await
    }

    async fn unpublish(&self, lost: Lost, limit: u32, now: OffsetDateTime) -> Result<usize, Error> {
        self.database.write(|tx| receipts::unpublish(tx, &lost, limit, now)).await
    }

    async fn backlog(&self) -> Result<Backlog, Error> {
        self.database.look_up(backlog).await
    }

    async fn deposits(&self, since: Option<OffsetDateTime>) -> Result<Vec<Deposit>, Error> {
        self.database.look_up(|tx| receipts::deposits(tx, since)).await
    }

    async fn purge(&self, before: OffsetDateTime, limit: u32) -> Result<usize, Error> {
        self.database.write(|tx| purge(tx, before, limit)).await
    }

    fn wake(&self) {
        self.wake();
    }

    async fn woken(&self) {
        self.wake.notified().await;
    }
}

async fn due(mut tx: Tx, now: OffsetDateTime, limit: u32) -> Result<Vec<Due>, Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "
        SELECT sequence, event_id, kind, subject, payload, headers, create_time, attempts,
               losses
          FROM outbox
         WHERE published_time IS NULL
           AND next_attempt_time <= $1
         ORDER BY next_attempt_time, sequence
         LIMIT $2
        ",
    )
    .bind(now)
    .bind(i64::from(limit))
    .fetch_all(&mut *tx)
    .await?;
    rows.into_iter().map(Row::due).collect()
}

impl Row {
    fn due(self) -> Result<Due, Error> {
        let headers: HashMap<String, String> = serde_json::from_str(&self.headers)
            .map_err(|error| sqlx::Error::Decode(error.into()))?;
        let event = Event {
            event_id: self.event_id.to_string(),
            r#type: self.kind,
            subject: self.subject,
            payload: self.payload.into(),
            headers,
            create_time: Some(timestamp::to_proto(self.create_time)),
        };
        let attempt = self.attempts.unsigned_abs().saturating_add(1);
        let losses = self.losses.unsigned_abs();
        Ok(Due { sequence: self.sequence, delivery: Delivery { event, attempt, losses } })
    }
}

/// One statement for all, however many there are. What was published stays so.
///
/// It finds each row by its number, whatever else waits: `num_nulls` keeps the index of
/// what is due out of the plan. Where statistics are from a time at which nothing waited,
/// a batch would else read all that waits, as after an outage of the bus.
async fn settle(
    mut tx: Tx,
    claim: Claim,
    settlements: &[Settlement],
    now: OffsetDateTime,
) -> Result<bool, Error> {
    let fence = lease::acquire(&mut tx, LEASE, claim.owner, claim.ttl, now).await?;
    if fence != Some(claim.fence) {
        return Ok(false);
    }
    let sequences: Vec<i64> = settlements.iter().map(|settlement| settlement.sequence).collect();
    let (published, counted, next): (Vec<_>, Vec<_>, Vec<_>) =
        settlements.iter().map(|settlement| columns(&settlement.verdict, now)).collect();
    let (streams, places): (Vec<_>, Vec<_>) =
        settlements.iter().map(|settlement| receipt(&settlement.verdict)).collect();
    by_number(&mut tx).await?;
    sqlx::query(
        "
        UPDATE outbox
           SET published_time = settled.published_time,
               attempts = outbox.attempts + settled.counted,
               next_attempt_time = coalesce(settled.next_attempt_time, outbox.next_attempt_time),
               stream = settled.stream,
               stream_sequence = settled.stream_sequence
          FROM unnest($1::bigint[], $2::timestamptz[], $3::integer[], $4::timestamptz[],
                      $5::text[], $6::bigint[])
               AS settled (sequence, published_time, counted, next_attempt_time,
                           stream, stream_sequence)
         WHERE outbox.sequence = settled.sequence
           AND num_nulls(outbox.published_time) = 1
        ",
    )
    .bind(sequences)
    .bind(published)
    .bind(counted)
    .bind(next)
    .bind(streams)
    .bind(places)
    .execute(&mut *tx)
    .await?;
    Ok(true)
}

/// Has the rest of the unit join by index only: a plan that is right for a table of a few
/// rows stays in use while that grows.
async fn by_number(tx: &mut PgConnection) -> Result<(), Error> {
    sqlx::query(
        "
        SELECT set_config('enable_hashjoin', 'off', true),
               set_config('enable_mergejoin', 'off', true),
               set_config('enable_seqscan', 'off', true)
        ",
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// When it was published, what counts, and when to try again.
fn columns(
    verdict: &Verdict,
    now: OffsetDateTime,
) -> (Option<OffsetDateTime>, i32, Option<OffsetDateTime>) {
    match verdict {
        Verdict::Published(_) => (Some(now), 0, None),
        Verdict::Refused { next_attempt_time } => (None, 1, Some(*next_attempt_time)),
        Verdict::Postponed { next_attempt_time } => (None, 0, Some(*next_attempt_time)),
    }
}

/// The stream that keeps it, and its place there.
fn receipt(verdict: &Verdict) -> (Option<String>, Option<i64>) {
    match verdict {
        Verdict::Published(Some(receipt)) => {
            (Some(receipt.stream.to_string()), Some(receipt.sequence.cast_signed()))
        }
        _ => (None, None),
    }
}

async fn backlog(mut tx: Tx) -> Result<Backlog, Error> {
    let (count, oldest): (i64, Option<OffsetDateTime>) = sqlx::query_as(
        "
        SELECT count(*), min(create_time)
          FROM outbox
         WHERE published_time IS NULL
        ",
    )
    .fetch_one(&mut *tx)
    .await?;
    Ok(Backlog { count: count.unsigned_abs(), oldest })
}

/// Looks at the oldest rows only, so its cost is bounded and it needs no index.
async fn purge(mut tx: Tx, before: OffsetDateTime, limit: u32) -> Result<usize, Error> {
    let purged = sqlx::query(
        "
        DELETE FROM outbox
         WHERE sequence IN (SELECT sequence FROM outbox ORDER BY sequence LIMIT $2)
           AND published_time < $1
        ",
    )
    .bind(before)
    .bind(i64::from(limit))
    .execute(&mut *tx)
    .await?;
    Ok(usize::try_from(purged.rows_affected()).unwrap_or(usize::MAX))
}
