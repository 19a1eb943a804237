//! How a saga ends.

use sqlx::{PgConnection, Row as _};
use trellis_events::outbox::postgres as outbox;
use trellis_storage::idempotency::postgres::{self as idempotency, Key};
use trellis_storage::{Error, Tx};

use super::held::{self, logged};
use super::sagas;
use crate::domain::{Reason, State};
use crate::saga::{Hold, Saga};
use crate::store::checkout::scope;
use crate::store::{Ended, Ending, words};

/// Three statements; a fourth for the refund of a sale that was cancelled too late.
pub(super) async fn end(mut tx: Tx, hold: Hold, ending: &Ending) -> Result<Option<Ended>, Error> {
    let Ending { order, event, answer, lease, now, .. } = ending;
    let Some(cancel_requested) = settle(&mut tx, hold, ending).await? else { return Ok(None) };
    outbox::append(&mut tx, event).await?;
    if let Some(answer) = answer {
        let scope = scope(order.user_id);
        let key = Key { bucket: order.user_id.bucket(), scope: &scope, key: order.request_id };
        idempotency::finish(&mut tx, key, answer).await?;
    }
    let refund = if cancel_requested && order.state == State::Confirmed {
        let refund = Saga::refund(order.clone(), *now);
        sagas::insert_refund(&mut tx, &refund, Some(*lease)).await?.then(|| Box::new(refund))
    } else {
        None
    };
    Ok(Some(Ended { refund }))
}

/// Ends the saga with its order, and tells whether a cancellation was requested meanwhile.
///
/// The saga that does it is the only one that may write the order's state.
async fn settle(tx: &mut PgConnection, hold: Hold, ending: &Ending) -> Result<Option<bool>, Error> {
    let order = &ending.order;
    let row = held::query(SETTLE, hold, &ending.log)
        .bind(ending.now)
        .bind(words::state(order.state))
        .bind(order.state.reason().map(Reason::as_str))
        .bind(order.update_time)
        .bind(ending.clear_cart)
        .bind(order.user_id.uuid())
        .bind(order.create_time)
        .fetch_optional(tx)
        .await?;
    let Some(row) = row else { return Ok(None) };
    if !row.try_get::<bool, _>("is_settled")? {
        return Err(sqlx::Error::RowNotFound.into());
    }
    Ok(row.try_get("cancel_requested")?)
}

/// Of the cart goes what was in it at the order's time; what was put or changed later
/// stays. Its rows are locked by SKU, as whoever else empties a cart does.
const SETTLE: &str = concat!(
    "
    WITH locked AS MATERIALIZED (
        SELECT bucket, order_id
          FROM orders
         WHERE bucket = $1
           AND order_id = $2
           FOR NO KEY UPDATE
    ), held AS (
        UPDATE sagas
           SET state = 'done', payment_token = NULL, lease_owner = NULL, lease_until = NULL,
               last_error = NULL, update_time = $8, log_length = log_length + cardinality($5)
          FROM locked
         WHERE sagas.bucket = locked.bucket
           AND sagas.order_id = locked.order_id
           AND sagas.kind = $3
           AND sagas.fence = $4
           AND sagas.state IN ('running', 'compensating')
        RETURNING sagas.cancel_requested, sagas.log_length
    ), ",
    logged!(),
    ", settled AS (
        UPDATE orders
           SET state = $9, reason = $10, update_time = $11
          FROM held
         WHERE orders.bucket = $1
           AND orders.order_id = $2
           AND orders.state <> $9
        RETURNING orders.order_id
    ), bought AS MATERIALIZED (
        SELECT carts.sku
          FROM held
         CROSS JOIN carts
         WHERE $12
           AND carts.bucket = $1
           AND carts.user_id = $13
           AND carts.update_time <= $14
         ORDER BY carts.sku
           FOR UPDATE OF carts
    ), cleared AS (
        DELETE FROM carts
         USING bought
         WHERE carts.bucket = $1
           AND carts.user_id = $13
           AND carts.sku = bought.sku
    )
    SELECT cancel_requested, EXISTS (SELECT FROM settled) AS is_settled
      FROM held
    "
);
