//! Units of work over payments.

use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use trellis_api::Money;
use trellis_api::id::PaymentId;
use trellis_storage::Tx;
use uuid::Uuid;

use super::{bucket, damaged, ledger};
use crate::domain::{Change, Intent, Payment};
use crate::error::Error;
use crate::store::row::{self, StateColumns, fingerprint, is_unsettled};
use crate::store::{Due, GRACE};

#[derive(FromRow)]
struct Row {
    payment_id: Uuid,
    #[sqlx(flatten)]
    row: row::Row,
}

#[derive(FromRow)]
struct Asked {
    #[sqlx(flatten)]
    payment: Row,
    /// None of a tombstone, which was not asked for at all.
    fingerprint: Option<Vec<u8>>,
}

pub(super) async fn begin(
    mut tx: Tx,
    intent: &Intent,
    now: OffsetDateTime,
) -> Result<Payment, Error> {
    let fingerprint = fingerprint(intent);
    let begun = Payment::begun(intent.clone(), now);
    if insert(&mut tx, &begun, Some(&fingerprint)).await? {
        return Ok(begun);
    }
    let known: Option<Asked> = sqlx::query_as(
        "
        SELECT payment_id, state, currency, minor_units, token, reference, decline_code,
               capture_refusal, create_time, update_time, fingerprint
          FROM payments
         WHERE bucket = $1
           AND payment_id = $2
        ",
    )
    .bind(bucket(intent.payment))
    .bind(intent.payment.uuid())
    .fetch_optional(&mut *tx)
    .await?;
    let Asked { payment, fingerprint: known } = known.ok_or(Error::NotFound(intent.payment))?;
    if known.is_some_and(|known| known != fingerprint) {
        return Err(Error::IdReused(intent.payment));
    }
    payment.payment()
}

pub(super) async fn void(mut tx: Tx, id: PaymentId, now: OffsetDateTime) -> Result<Payment, Error> {
    let tombstone = Payment::tombstone(id, now);
    if insert(&mut tx, &tombstone, None).await? {
        return Ok(tombstone);
    }
    change(tx, id, &Change::Void, now).await
}

/// Adds a payment, unless there is one with its id. Waits for another transaction that
/// adds it.
async fn insert(
    tx: &mut PgConnection,
    payment: &Payment,
    fingerprint: Option<&[u8; 32]>,
) -> Result<bool, Error> {
    let inserted = sqlx::query(
        "
        INSERT INTO payments
               (bucket, payment_id, state, currency, minor_units, fingerprint, token,
                create_time, update_time, next_attempt_time)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)
        ON CONFLICT (bucket, payment_id) DO NOTHING
        ",
    )
    .bind(bucket(payment.id))
    .bind(payment.id.uuid())
    .bind(payment.state.name())
    .bind(payment.amount.map(|amount| amount.currency().to_string()))
    .bind(payment.amount.map(Money::minor_units))
    .bind(fingerprint.map(<[u8; 32]>::as_slice))
    .bind(StateColumns::from(&payment.state).token)
    .bind(payment.create_time)
    .bind(payment.create_time + GRACE)
    .execute(tx)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

pub(super) async fn change(
    mut tx: Tx,
    id: PaymentId,
    change: &Change,
    now: OffsetDateTime,
) -> Result<Payment, Error> {
    let before = lock(&mut tx, id).await?;
    let Some((after, entry)) = before.apply(change.clone(), now)? else {
        return Ok(before);
    };
    update(&mut tx, &after, now).await?;
    if let Some(entry) = entry {
        ledger::post(&mut tx, &entry, now).await?;
    }
    Ok(after)
}

/// Until the transaction ends, nobody else changes the payment.
async fn lock(tx: &mut PgConnection, id: PaymentId) -> Result<Payment, Error> {
    let row: Option<Row> = sqlx::query_as(
        "
        SELECT payment_id, state, currency, minor_units, token, reference, decline_code,
               capture_refusal, create_time, update_time
          FROM payments
         WHERE bucket = $1
           AND payment_id = $2
           FOR NO KEY UPDATE
        ",
    )
    .bind(bucket(id))
    .bind(id.uuid())
    .fetch_optional(tx)
    .await?;
    row.ok_or(Error::NotFound(id))?.payment()
}

async fn update(tx: &mut PgConnection, after: &Payment, now: OffsetDateTime) -> Result<(), Error> {
    let columns = StateColumns::from(&after.state);
    sqlx::query(
        "
        UPDATE payments
           SET state = $3, token = $4, reference = $5, decline_code = $6,
               capture_refusal = $7, update_time = $8, attempts = 0, next_attempt_time = $9
         WHERE bucket = $1
           AND payment_id = $2
        ",
    )
    .bind(bucket(after.id))
    .bind(after.id.uuid())
    .bind(after.state.name())
    .bind(columns.token)
    .bind(columns.reference)
    .bind(columns.decline_code)
    .bind(columns.capture_refusal)
    .bind(after.update_time)
    .bind(is_unsettled(&after.state).then(|| now + GRACE))
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn get(mut tx: Tx, id: PaymentId) -> Result<Payment, Error> {
    let row: Option<Row> = sqlx::query_as(
        "
        SELECT payment_id, state, currency, minor_units, token, reference, decline_code,
               capture_refusal, create_time, update_time
          FROM payments
         WHERE bucket = $1
           AND payment_id = $2
        ",
    )
    .bind(bucket(id))
    .bind(id.uuid())
    .fetch_optional(&mut *tx)
    .await?;
    row.ok_or(Error::NotFound(id))?.payment()
}

/// Ids are in the same order as UUIDs and as texts.
pub(super) async fn page(
    mut tx: Tx,
    after: Option<PaymentId>,
    limit: u32,
) -> Result<Vec<Payment>, Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "
        SELECT payment_id, state, currency, minor_units, token, reference, decline_code,
               capture_refusal, create_time, update_time
          FROM payments
         WHERE payment_id > $1
         ORDER BY payment_id
         LIMIT $2
        ",
    )
    .bind(after.map_or(Uuid::nil(), |id| id.uuid()))
    .bind(i64::from(limit))
    .fetch_all(&mut *tx)
    .await?;
    rows.into_iter().map(Row::payment).collect()
}

pub(super) async fn due(mut tx: Tx, now: OffsetDateTime, limit: u32) -> Result<Vec<Due>, Error> {
    let rows: Vec<(Uuid, i32, OffsetDateTime)> = sqlx::query_as(
        "
        SELECT payment_id, attempts, next_attempt_time
          FROM payments
         WHERE next_attempt_time <= $1
         ORDER BY next_attempt_time
         LIMIT $2
        ",
    )
    .bind(now)
    .bind(i64::from(limit))
    .fetch_all(&mut *tx)
    .await?;
    let due = rows.into_iter().map(|(payment_id, attempts, since)| {
        let attempts = u32::try_from(attempts).map_err(damaged)?;
        Ok(Due { payment: PaymentId::from_uuid(payment_id), attempts, since })
    });
    due.collect()
}

/// The moment since which it is due tells whether somebody else was here.
pub(super) async fn postpone(
    mut tx: Tx,
    due: Due,
    until: Option<OffsetDateTime>,
    looks: u32,
) -> Result<(), Error> {
    sqlx::query(
        "
        UPDATE payments
           SET next_attempt_time = $4,
               attempts = attempts + $5::integer
         WHERE bucket = $1
           AND payment_id = $2
           AND next_attempt_time = $3
        ",
    )
    .bind(bucket(due.payment))
    .bind(due.payment.uuid())
    .bind(due.since)
    .bind(until)
    .bind(i64::from(looks))
    .execute(&mut *tx)
    .await?;
    Ok(())
}

impl Row {
    fn payment(self) -> Result<Payment, Error> {
        let id = PaymentId::from_uuid(self.payment_id);
        Ok(self.row.payment(id).map_err(damaged)?)
    }
}
