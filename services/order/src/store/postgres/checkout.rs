//! How an order begins.

use sqlx::PgConnection;
use trellis_storage::idempotency::postgres::{self as idempotency, Key};
use trellis_storage::idempotency::{Claim, Fingerprint};
use trellis_storage::{Error, Shards, Tx};

use super::{number, orders, rows};
use crate::domain::{Order, PaymentToken, Reason};
use crate::saga::{Lease, Saga, VERSION};
use crate::store::checkout::{NotBegun, scope};
use crate::store::{CheckoutRequest, Known, words};

/// One round trip for a repetition, two for a new request.
///
/// The record and the order of a request are written together. So an order that appears
/// between the two looks has a record at the third, and the order of a late repetition
/// has none.
pub(super) async fn find(
    shards: &Shards,
    request: &CheckoutRequest,
) -> Result<Option<Known>, Error> {
    let CheckoutRequest { user_id, request_id, .. } = *request;
    let bucket = user_id.bucket();
    if let Some(known) = shards.look_up(bucket, |tx| recorded(tx, request)).await? {
        return Ok(Some(known));
    }
    let find =
        |mut tx: Tx| async move { orders::find_by_request(&mut tx, user_id, request_id).await };
    let Some(order) = shards.look_up(bucket, find).await? else { return Ok(None) };
    let known = shards.look_up(bucket, |tx| recorded(tx, request)).await?;
    Ok(Some(known.unwrap_or(Known::Late(order))))
}

async fn recorded(mut tx: Tx, request: &CheckoutRequest) -> Result<Option<Known>, Error> {
    let CheckoutRequest { user_id, request_id, fingerprint } = request;
    let scope = scope(*user_id);
    let key = Key { bucket: user_id.bucket(), scope: &scope, key: *request_id };
    match idempotency::find(&mut tx, key, fingerprint).await? {
        Some(claim) => known(claim),
        None => Ok(None),
    }
}

/// Two statements. Of two that begin with one request, the second waits for the fate of
/// the first at its record.
pub(super) async fn begin(
    mut tx: Tx,
    saga: &Saga,
    fingerprint: &Fingerprint,
    lease: Lease,
) -> Result<Option<Known>, NotBegun> {
    let Order { order_id, user_id, request_id, create_time, .. } = saga.order;
    let scope = scope(user_id);
    let key = Key { bucket: user_id.bucket(), scope: &scope, key: request_id };
    let subject = order_id.to_string();
    let claim = idempotency::claim(&mut tx, key, fingerprint, &subject, create_time).await?;
    if let Some(known) = known(claim)? {
        return Ok(Some(known));
    }
    if !insert(&mut tx, saga, lease).await? {
        let late = orders::find_by_request(&mut tx, user_id, request_id).await?;
        return Err(match late {
            Some(order) => NotBegun::Late(Box::new(order)),
            // An order is never deleted.
            None => Error::from(sqlx::Error::RowNotFound).into(),
        });
    }
    Ok(None)
}

/// Adds an order with its saga, unless its request has made one before.
async fn insert(tx: &mut PgConnection, saga: &Saga, lease: Lease) -> Result<bool, Error> {
    let order = &saga.order;
    let inserted = sqlx::query(INSERT)
        .bind(number(order.order_id.bucket()))
        .bind(order.order_id.uuid())
        .bind(order.user_id.uuid())
        .bind(order.request_id)
        .bind(words::items(&order.items))
        .bind(order.total.currency().as_str())
        .bind(order.total.minor_units())
        .bind(words::state(order.state))
        .bind(order.state.reason().map(Reason::as_str))
        .bind(order.create_time)
        .bind(order.update_time)
        .bind(saga.kind.as_str())
        .bind(VERSION)
        .bind(saga.payment_token.as_ref().map(PaymentToken::expose))
        .bind(saga.from_cart)
        .bind(saga.create_time)
        .bind(lease.owner)
        .bind(lease.until)
        .bind(saga.fence)
        .bind(saga.deadline_time)
        .bind(saga.trace.as_ref().map(ToString::to_string))
        .execute(tx)
        .await?;
    Ok(inserted.rows_affected() == 1)
}

const INSERT: &str = "
    WITH accepted AS (
        INSERT INTO orders
               (bucket, order_id, user_id, request_id, items, currency, total_minor, state,
                reason, create_time, update_time)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        ON CONFLICT (bucket, user_id, request_id) DO NOTHING
        RETURNING bucket, order_id
    )
    INSERT INTO sagas
           (bucket, order_id, kind, version, state, step, payment_token, from_cart, attempts,
            failures, next_attempt_time, lease_owner, lease_until, fence, deadline_time,
            cancel_requested, create_time, update_time, traceparent)
    SELECT bucket, order_id, $12, $13, 'running', '', $14, $15, 0, 0, $16, $17, $18, $19, $20,
           false, $16, $16, $21
      FROM accepted
";

fn known(claim: Claim) -> Result<Option<Known>, Error> {
    Ok(match claim {
        Claim::New => None,
        Claim::InFlight { subject } => Some(Known::Running(rows::parse(&subject)?)),
        Claim::Finished(answer) => Some(Known::Answered(answer)),
        Claim::Mismatch => Some(Known::Mismatch),
    })
}
