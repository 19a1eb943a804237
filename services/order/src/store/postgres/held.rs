//! Writes of whoever holds a saga: each is one statement, and carries the holder's fence.

use sqlx::Row as _;
use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::Query;
use time::OffsetDateTime;
use trellis_storage::{Error, Tx};

use super::{number, text};
use crate::saga::{Entry, Hold, Step};
use crate::store::{Postponement, TurnBack};

/// Part of a statement: adds what a saga did since its last write, if `held` is its row,
/// with the new entries counted.
macro_rules! logged {
    () => {
        "logged AS (
        INSERT INTO saga_log (bucket, order_id, kind, sequence, step, outcome, time)
        SELECT $1, $2, $3, held.log_length - cardinality($5) + entry.number, entry.step,
               entry.outcome, entry.time
          FROM held
         CROSS JOIN unnest($5::text[], $6::text[], $7::timestamptz[])
                    WITH ORDINALITY AS entry (step, outcome, time, number)
    )"
    };
}
pub(super) use logged;

/// The first seven parameters are what every write has: whose it is, and what was done.
pub(super) fn query(
    sql: &'static str,
    hold: Hold,
    log: &[Entry],
) -> Query<'static, Postgres, PgArguments> {
    let steps: Vec<_> = log.iter().map(|entry| entry.step).collect();
    let outcomes: Vec<_> = log.iter().map(|entry| text(&entry.outcome)).collect();
    let times: Vec<_> = log.iter().map(|entry| entry.time).collect();
    sqlx::query(sql)
        .bind(number(hold.order_id.bucket()))
        .bind(hold.order_id.uuid())
        .bind(hold.kind.as_str())
        .bind(hold.fence)
        .bind(steps)
        .bind(outcomes)
        .bind(times)
}

pub(super) async fn renew(
    mut tx: Tx,
    hold: Hold,
    until: OffsetDateTime,
) -> Result<Option<bool>, Error> {
    let cancel_requested = sqlx::query_scalar(
        "
        UPDATE sagas
           SET lease_until = $5
         WHERE bucket = $1
           AND order_id = $2
           AND kind = $3
           AND fence = $4
           AND state IN ('running', 'compensating')
        RETURNING cancel_requested
        ",
    )
    .bind(number(hold.order_id.bucket()))
    .bind(hold.order_id.uuid())
    .bind(hold.kind.as_str())
    .bind(hold.fence)
    .bind(until)
    .fetch_optional(&mut *tx)
    .await?;
    Ok(cancel_requested)
}

pub(super) async fn turn_back(mut tx: Tx, hold: Hold, turn: &TurnBack) -> Result<bool, Error> {
    const TURN_BACK: &str = concat!(
        "
    WITH held AS (
        UPDATE sagas
           SET state = 'compensating', reason = $8, detail = $9, payment_token = NULL,
               update_time = $10, log_length = log_length + cardinality($5)
         WHERE bucket = $1
           AND order_id = $2
           AND kind = $3
           AND fence = $4
           AND state IN ('running', 'compensating')
        RETURNING log_length
    ), ",
        logged!(),
        "
    SELECT EXISTS (SELECT FROM held)
    "
    );
    let written = query(TURN_BACK, hold, &turn.log)
        .bind(turn.why.reason.as_str())
        .bind(text(&turn.why.detail))
        .bind(turn.now)
        .fetch_one(&mut *tx)
        .await?;
    Ok(written.try_get(0)?)
}

pub(super) async fn postpone(
    mut tx: Tx,
    hold: Hold,
    postponement: &Postponement,
) -> Result<bool, Error> {
    const POSTPONE: &str = concat!(
        "
    WITH held AS (
        UPDATE sagas
           SET state = CASE WHEN $8::timestamptz IS NULL THEN 'needs_operator' ELSE state END,
               next_attempt_time = coalesce($8, next_attempt_time), step = coalesce($9, step),
               attempts = $10, failures = $11, last_error = coalesce($12, last_error),
               lease_owner = NULL, lease_until = NULL, update_time = $13,
               log_length = log_length + cardinality($5)
         WHERE bucket = $1
           AND order_id = $2
           AND kind = $3
           AND fence = $4
           AND state IN ('running', 'compensating')
        RETURNING log_length
    ), ",
        logged!(),
        "
    SELECT EXISTS (SELECT FROM held)
    "
    );
    let written = query(POSTPONE, hold, &postponement.log)
        .bind(postponement.next_attempt_time)
        .bind(postponement.step.map(Step::as_str))
        .bind(i64::from(postponement.attempts))
        .bind(i64::from(postponement.failures))
        .bind(postponement.error.as_deref().map(text))
        .bind(postponement.now)
        .fetch_one(&mut *tx)
        .await?;
    Ok(written.try_get(0)?)
}
