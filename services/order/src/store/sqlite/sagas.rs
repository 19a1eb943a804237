//! Sagas: who holds them, how far they are, what they did.
//!
//! Every change but the customer's wish to cancel carries the holder's fence.

use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension as _, params};
use time::OffsetDateTime;
use trellis_api::id::OrderId;
use trellis_storage::{Error, from_micros, micros};

use super::rows::{self, ORDER, SAGA};
use crate::domain::PaymentToken;
use crate::saga::{Entry, Hold, Lease, Saga, Step, VERSION};
use crate::store::{Backlog, Postponement, TurnBack};

/// Adds a saga, unless the order has one of this kind.
pub(super) fn insert(tx: &Connection, saga: &Saga, lease: Option<Lease>) -> Result<bool, Error> {
    let inserted = tx
        .prepare_cached(
            "
            INSERT INTO sagas
                   (order_id, kind, version, state, step, payment_token, from_cart, attempts,
                    failures, next_attempt_time, lease_owner, lease_until, fence, deadline_time,
                    cancel_requested, create_time, update_time, traceparent)
            VALUES (?1, ?2, ?3, 'running', '', ?4, ?5, 0, 0, ?6, ?7, ?8, ?9, ?10, 0, ?6, ?6,
                    ?11)
            ON CONFLICT (order_id, kind) DO NOTHING
            ",
        )?
        .execute(params![
            saga.order.order_id.to_string(),
            saga.kind.as_str(),
            VERSION,
            saga.payment_token.as_ref().map(PaymentToken::expose),
            saga.from_cart,
            micros(saga.create_time),
            lease.map(|lease| lease.owner.to_string()),
            lease.map(|lease| micros(lease.until)),
            saga.fence,
            micros(saga.deadline_time),
            saga.trace.as_ref().map(ToString::to_string),
        ])?;
    Ok(inserted == 1)
}

/// The saga need not wait for its time: what it waited for may not be wanted any more.
pub(super) fn request_cancel(
    tx: &Connection,
    order_id: OrderId,
    now: OffsetDateTime,
) -> Result<(), Error> {
    tx.prepare_cached(
        "
        UPDATE sagas
           SET cancel_requested = 1, next_attempt_time = min(next_attempt_time, ?2),
               update_time = ?2
         WHERE order_id = ?1
           AND kind = 'checkout'
           AND cancel_requested = 0
        ",
    )?
    .execute(params![order_id.to_string(), micros(now)])?;
    Ok(())
}

pub(super) fn free_all(tx: &Connection) -> Result<usize, Error> {
    let freed = tx
        .prepare_cached(
            "
            UPDATE sagas
               SET lease_owner = NULL, lease_until = NULL
             WHERE state IN ('running', 'compensating')
               AND lease_owner IS NOT NULL
            ",
        )?
        .execute(())?;
    Ok(freed)
}

pub(super) fn backlog(tx: &Connection) -> Result<Backlog, Error> {
    let mut open = tx.prepare_cached(
        "
        SELECT count(*), min(create_time)
          FROM sagas
         WHERE state IN ('running', 'compensating')
        ",
    )?;
    let (open, oldest): (i64, Option<i64>) =
        open.query_row((), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut waiting =
        tx.prepare_cached("SELECT count(*) FROM sagas WHERE state = 'needs_operator'")?;
    let needs_operator: i64 = waiting.query_row((), |row| row.get(0))?;
    Ok(Backlog {
        open: open.unsigned_abs(),
        oldest: oldest.map(from_micros),
        needs_operator: needs_operator.unsigned_abs(),
    })
}

pub(super) fn is_any_due(tx: &Connection, now: OffsetDateTime) -> Result<bool, Error> {
    let mut statement = tx.prepare_cached(
        "
        SELECT 1
          FROM sagas
         WHERE state IN ('running', 'compensating')
           AND next_attempt_time <= ?1
           AND (lease_until IS NULL OR lease_until < ?1)
           AND version <= ?2
         LIMIT 1
        ",
    )?;
    Ok(statement.exists(params![micros(now), VERSION])?)
}

pub(super) fn claim_due(
    tx: &Connection,
    lease: Lease,
    now: OffsetDateTime,
    limit: u32,
) -> Result<Vec<Saga>, Error> {
    let mut statement = tx.prepare_cached(
        "
        UPDATE sagas
           SET fence = fence + 1, lease_owner = ?2, lease_until = ?3
         WHERE (order_id, kind) IN (
               SELECT order_id, kind
                 FROM sagas
                WHERE state IN ('running', 'compensating')
                  AND next_attempt_time <= ?1
                  AND (lease_until IS NULL OR lease_until < ?1)
                  AND version <= ?4
                ORDER BY next_attempt_time
                LIMIT ?5)
        RETURNING order_id, kind
        ",
    )?;
    let claimed = statement
        .query_map(
            params![micros(now), lease.owner.to_string(), micros(lease.until), VERSION, limit],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?
        .collect::<Result<Vec<(String, String)>, _>>()?;
    let mut sagas = Vec::with_capacity(claimed.len());
    for (order_id, kind) in claimed {
        match read(tx, &order_id, &kind) {
            Ok(saga) => sagas.push(saga),
            // It keeps its lease for now, so that it does not stand in the way of the others.
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(order_id, kind, error, "a saga cannot be read");
            }
        }
    }
    Ok(sagas)
}

fn read(tx: &Connection, order_id: &str, kind: &str) -> Result<Saga, Error> {
    static QUERY: LazyLock<String> = LazyLock::new(|| {
        format!(
            "
            SELECT {ORDER}, {SAGA}
              FROM sagas
              JOIN orders USING (order_id)
             WHERE sagas.order_id = ?1
               AND sagas.kind = ?2
            "
        )
    });
    Ok(tx.prepare_cached(&QUERY)?.query_row([order_id, kind], rows::saga)?)
}

pub(super) fn renew(
    tx: &Connection,
    hold: Hold,
    until: OffsetDateTime,
) -> Result<Option<bool>, Error> {
    let cancel_requested = tx
        .prepare_cached(
            "
            UPDATE sagas
               SET lease_until = ?4
             WHERE order_id = ?1
               AND kind = ?2
               AND fence = ?3
               AND state IN ('running', 'compensating')
            RETURNING cancel_requested
            ",
        )?
        .query_row(
            params![hold.order_id.to_string(), hold.kind.as_str(), hold.fence, micros(until)],
            |row| row.get(0),
        )
        .optional()?;
    Ok(cancel_requested)
}

pub(super) fn turn_back(tx: &Connection, hold: Hold, turn: &TurnBack) -> Result<bool, Error> {
    let updated = tx
        .prepare_cached(
            "
            UPDATE sagas
               SET state = 'compensating', reason = ?4, detail = ?5, payment_token = NULL,
                   update_time = ?6
             WHERE order_id = ?1
               AND kind = ?2
               AND fence = ?3
               AND state IN ('running', 'compensating')
            ",
        )?
        .execute(params![
            hold.order_id.to_string(),
            hold.kind.as_str(),
            hold.fence,
            turn.why.reason.as_str(),
            turn.why.detail,
            micros(turn.now),
        ])?;
    if updated == 0 {
        return Ok(false);
    }
    append_log(tx, hold, &turn.log)?;
    Ok(true)
}

pub(super) fn postpone(
    tx: &Connection,
    hold: Hold,
    postponement: &Postponement,
) -> Result<bool, Error> {
    let updated = tx
        .prepare_cached(
            "
            UPDATE sagas
               SET state = iif(?4 IS NULL, 'needs_operator', state),
                   next_attempt_time = ifnull(?4, next_attempt_time),
                   step = ifnull(?5, step), attempts = ?6, failures = ?7,
                   last_error = ifnull(?8, last_error), lease_owner = NULL, lease_until = NULL,
                   update_time = ?9
             WHERE order_id = ?1
               AND kind = ?2
               AND fence = ?3
               AND state IN ('running', 'compensating')
            ",
        )?
        .execute(params![
            hold.order_id.to_string(),
            hold.kind.as_str(),
            hold.fence,
            postponement.next_attempt_time.map(micros),
            postponement.step.map(Step::as_str),
            postponement.attempts,
            postponement.failures,
            postponement.error,
            micros(postponement.now),
        ])?;
    if updated == 0 {
        return Ok(false);
    }
    append_log(tx, hold, &postponement.log)?;
    Ok(true)
}

/// Ends a saga, and tells whether a cancellation was requested meanwhile.
pub(super) fn end(tx: &Connection, hold: Hold, now: OffsetDateTime) -> Result<Option<bool>, Error> {
    let cancel_requested = tx
        .prepare_cached(
            "
            UPDATE sagas
               SET state = 'done', payment_token = NULL, lease_owner = NULL, lease_until = NULL,
                   last_error = NULL, update_time = ?4
             WHERE order_id = ?1
               AND kind = ?2
               AND fence = ?3
               AND state IN ('running', 'compensating')
            RETURNING cancel_requested
            ",
        )?
        .query_row(
            params![hold.order_id.to_string(), hold.kind.as_str(), hold.fence, micros(now)],
            |row| row.get(0),
        )
        .optional()?;
    Ok(cancel_requested)
}

/// Adds what a saga did since its last write, in one statement.
pub(super) fn append_log(tx: &Connection, hold: Hold, log: &[Entry]) -> Result<(), Error> {
    if log.is_empty() {
        return Ok(());
    }
    let entries: Vec<_> =
        log.iter().map(|entry| (entry.step, &entry.outcome, micros(entry.time))).collect();
    let entries = serde_json::to_string(&entries).expect("log entries are plain data");
    tx.prepare_cached(
        "
        INSERT INTO saga_log (order_id, kind, sequence, step, outcome, time)
        SELECT ?1, ?2, last.sequence + entry.key + 1, entry.value ->> 0, entry.value ->> 1,
               entry.value ->> 2
          FROM json_each(?3) AS entry,
               (SELECT ifnull(max(sequence), 0) AS sequence
                  FROM saga_log
                 WHERE order_id = ?1
                   AND kind = ?2) AS last
        ",
    )?
    .execute(params![hold.order_id.to_string(), hold.kind.as_str(), entries])?;
    Ok(())
}
