//! Sagas that begin, that are due, and that have not ended.

use std::sync::LazyLock;

use sqlx::PgConnection;
use time::OffsetDateTime;
use trellis_api::id::OrderId;
use trellis_storage::{Error, Tx};

use super::number;
use super::rows::{ORDER, SAGA, SagaRow};
use crate::saga::{Lease, Saga, VERSION};
use crate::store::Backlog;

/// Adds a refund to an order that the transaction has locked, unless it has one.
pub(super) async fn insert_refund(
    tx: &mut PgConnection,
    saga: &Saga,
    lease: Option<Lease>,
) -> Result<bool, Error> {
    let inserted = sqlx::query(
        "
        INSERT INTO sagas
               (bucket, order_id, kind, version, state, step, from_cart, attempts, failures,
                next_attempt_time, lease_owner, lease_until, fence, deadline_time,
                cancel_requested, create_time, update_time, traceparent)
        VALUES ($1, $2, $3, $4, 'running', '', $5, 0, 0, $6, $7, $8, $9, $10, false, $6, $6, $11)
        ON CONFLICT (bucket, order_id, kind) DO NOTHING
        ",
    )
    .bind(number(saga.order.order_id.bucket()))
    .bind(saga.order.order_id.uuid())
    .bind(saga.kind.as_str())
    .bind(VERSION)
    .bind(saga.from_cart)
    .bind(saga.create_time)
    .bind(lease.map(|lease| lease.owner))
    .bind(lease.map(|lease| lease.until))
    .bind(saga.fence)
    .bind(saga.deadline_time)
    .bind(saga.trace.as_ref().map(ToString::to_string))
    .execute(tx)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The saga need not wait for its time: what it waited for may not be wanted any more.
///
/// The order is locked, so the saga cannot end before it has seen this.
pub(super) async fn request_cancel(
    tx: &mut PgConnection,
    order_id: OrderId,
    now: OffsetDateTime,
) -> Result<(), Error> {
    sqlx::query(
        "
        UPDATE sagas
           SET cancel_requested = true, next_attempt_time = least(next_attempt_time, $3),
               update_time = $3
         WHERE bucket = $1
           AND order_id = $2
           AND kind = 'checkout'
           AND NOT cancel_requested
        ",
    )
    .bind(number(order_id.bucket()))
    .bind(order_id.uuid())
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn backlog(mut tx: Tx) -> Result<Backlog, Error> {
    let (open, oldest, needs_operator): (i64, Option<OffsetDateTime>, i64) = sqlx::query_as(
        "
        SELECT open.count, open.oldest, waiting.count
          FROM (SELECT count(*), min(create_time) AS oldest
                  FROM sagas
                  JOIN shard_here USING (bucket)
                 WHERE state IN ('running', 'compensating')) AS open
         CROSS JOIN (SELECT count(*)
                       FROM sagas
                       JOIN shard_here USING (bucket)
                      WHERE state = 'needs_operator') AS waiting
        ",
    )
    .fetch_one(&mut *tx)
    .await?;
    Ok(Backlog { open: open.unsigned_abs(), oldest, needs_operator: needs_operator.unsigned_abs() })
}

pub(super) async fn is_any_due(mut tx: Tx, now: OffsetDateTime) -> Result<bool, Error> {
    let is_any_due = sqlx::query_scalar(
        "
        SELECT EXISTS (
               SELECT FROM sagas
                WHERE state IN ('running', 'compensating')
                  AND next_attempt_time <= $1
                  AND (lease_until IS NULL OR lease_until < $1)
                  AND version <= $2
                  AND shard_has(bucket))
        ",
    )
    .bind(now)
    .bind(VERSION)
    .fetch_one(&mut *tx)
    .await?;
    Ok(is_any_due)
}

/// One statement. What another process is claiming at this moment is passed over, and
/// what it has claimed since the statement began is not due any more.
pub(super) async fn claim_due(
    mut tx: Tx,
    lease: Lease,
    now: OffsetDateTime,
    limit: u32,
) -> Result<Vec<Saga>, Error> {
    static CLAIM: LazyLock<String> = LazyLock::new(|| {
        format!(
            "
            WITH due AS MATERIALIZED (
                SELECT bucket, order_id, kind
                  FROM sagas
                 WHERE state IN ('running', 'compensating')
                   AND next_attempt_time <= $1
                   AND (lease_until IS NULL OR lease_until < $1)
                   AND version <= $4
                   AND shard_has(bucket)
                 ORDER BY next_attempt_time
                 LIMIT $5
                   FOR NO KEY UPDATE SKIP LOCKED
            )
            UPDATE sagas
               SET fence = sagas.fence + 1, lease_owner = $2, lease_until = $3
              FROM due
              JOIN orders USING (bucket, order_id)
             WHERE sagas.bucket = due.bucket
               AND sagas.order_id = due.order_id
               AND sagas.kind = due.kind
            RETURNING {ORDER}, {SAGA}
            "
        )
    });
    let claimed: Vec<SagaRow> = sqlx::query_as(CLAIM.as_str())
        .bind(now)
        .bind(lease.owner)
        .bind(lease.until)
        .bind(VERSION)
        .bind(i64::from(limit))
        .fetch_all(&mut *tx)
        .await?;
    Ok(claimed.into_iter().filter_map(readable).collect())
}

/// One that cannot be read keeps its lease for now, so that it does not stand in the way
/// of the others.
fn readable(row: SagaRow) -> Option<Saga> {
    let (order_id, kind) = row.name();
    row.saga()
        .inspect_err(|error| {
            let error = error as &dyn std::error::Error;
            tracing::error!(%order_id, kind, error, "a saga cannot be read");
        })
        .ok()
}
