//! Orders.

use std::sync::LazyLock;

use sqlx::PgConnection;
use trellis_api::id::{OrderId, UserId};
use trellis_storage::{Error, Tx};
use uuid::Uuid;

use super::number;
use super::rows::{ORDER, OrderRow};
use crate::domain::Order;
use crate::store::Place;

/// Finds an order of this customer; someone else's is none.
pub(super) async fn find(
    mut tx: Tx,
    user_id: UserId,
    order_id: OrderId,
) -> Result<Option<Order>, Error> {
    static QUERY: LazyLock<String> = LazyLock::new(|| {
        format!(
            "
            SELECT {ORDER}
              FROM orders
             WHERE bucket = $1
               AND order_id = $2
               AND user_id = $3
            "
        )
    });
    one(&mut tx, &QUERY, user_id, order_id).await
}

/// As [`find`], and nobody else changes the order until the transaction ends.
///
/// Other rows may still refer to it.
pub(super) async fn lock(
    tx: &mut PgConnection,
    user_id: UserId,
    order_id: OrderId,
) -> Result<Option<Order>, Error> {
    static QUERY: LazyLock<String> = LazyLock::new(|| {
        format!(
            "
            SELECT {ORDER}
              FROM orders
             WHERE bucket = $1
               AND order_id = $2
               AND user_id = $3
               FOR NO KEY UPDATE
            "
        )
    });
    one(tx, &QUERY, user_id, order_id).await
}

async fn one(
    tx: &mut PgConnection,
    query: &'static str,
    user_id: UserId,
    order_id: OrderId,
) -> Result<Option<Order>, Error> {
    let row: Option<OrderRow> = sqlx::query_as(query)
        .bind(number(order_id.bucket()))
        .bind(order_id.uuid())
        .bind(user_id.uuid())
        .fetch_optional(tx)
        .await?;
    Ok(row.map(OrderRow::order).transpose()?)
}

/// Finds the order that a request made, however long ago.
pub(super) async fn find_by_request(
    tx: &mut PgConnection,
    user_id: UserId,
    request_id: Uuid,
) -> Result<Option<Order>, Error> {
    static QUERY: LazyLock<String> = LazyLock::new(|| {
        format!(
            "
            SELECT {ORDER}
              FROM orders
             WHERE bucket = $1
               AND user_id = $2
               AND request_id = $3
            "
        )
    });
    let row: Option<OrderRow> = sqlx::query_as(QUERY.as_str())
        .bind(number(user_id.bucket()))
        .bind(user_id.uuid())
        .bind(request_id)
        .fetch_optional(tx)
        .await?;
    Ok(row.map(OrderRow::order).transpose()?)
}

pub(super) async fn page(
    mut tx: Tx,
    user_id: UserId,
    after: Option<Place>,
    limit: u32,
) -> Result<Vec<Order>, Error> {
    static FIRST: LazyLock<String> = LazyLock::new(|| {
        format!(
            "
            SELECT {ORDER}
              FROM orders
             WHERE bucket = $1
               AND user_id = $2
             ORDER BY create_time DESC, order_id DESC
             LIMIT $3
            "
        )
    });
    static NEXT: LazyLock<String> = LazyLock::new(|| {
        format!(
            "
            SELECT {ORDER}
              FROM orders
             WHERE bucket = $1
               AND user_id = $2
               AND (create_time, order_id) < ($4, $5)
             ORDER BY create_time DESC, order_id DESC
             LIMIT $3
            "
        )
    });
    let query = if after.is_some() { NEXT.as_str() } else { FIRST.as_str() };
    let mut query = sqlx::query_as(query)
        .bind(number(user_id.bucket()))
        .bind(user_id.uuid())
        .bind(i64::from(limit));
    if let Some(Place { create_time, order_id }) = after {
        query = query.bind(create_time).bind(order_id.uuid());
    }
    let rows: Vec<OrderRow> = query.fetch_all(&mut *tx).await?;
    Ok(rows.into_iter().map(OrderRow::order).collect::<Result<_, _>>()?)
}
