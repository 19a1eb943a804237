//! Orders.

use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension as _, params};
use trellis_api::id::{OrderId, UserId};
use trellis_storage::{Error, micros};
use uuid::Uuid;

use super::rows::{self, ORDER};
use crate::domain::{Order, Reason};
use crate::store::{Place, words};

/// Finds an order of this customer; someone else's is none.
pub(super) fn find(
    tx: &Connection,
    user_id: UserId,
    order_id: OrderId,
) -> Result<Option<Order>, Error> {
    static QUERY: LazyLock<String> = LazyLock::new(|| {
        format!("SELECT {ORDER} FROM orders WHERE order_id = ?1 AND user_id = ?2")
    });
    let mut statement = tx.prepare_cached(&QUERY)?;
    let order =
        statement.query_row([order_id.to_string(), user_id.to_string()], rows::order).optional()?;
    Ok(order)
}

/// Finds the order that a request made, however long ago.
pub(super) fn find_by_request(
    tx: &Connection,
    user_id: UserId,
    request_id: Uuid,
) -> Result<Option<Order>, Error> {
    static QUERY: LazyLock<String> = LazyLock::new(|| {
        format!("SELECT {ORDER} FROM orders WHERE user_id = ?1 AND request_id = ?2")
    });
    let mut statement = tx.prepare_cached(&QUERY)?;
    let order = statement
        .query_row([user_id.to_string(), request_id.to_string()], rows::order)
        .optional()?;
    Ok(order)
}

pub(super) fn page(
    tx: &Connection,
    user_id: UserId,
    after: Option<Place>,
    limit: u32,
) -> Result<Vec<Order>, Error> {
    static FIRST: LazyLock<String> = LazyLock::new(|| {
        format!(
            "
            SELECT {ORDER}
              FROM orders
             WHERE user_id = ?1
             ORDER BY create_time DESC, order_id DESC
             LIMIT ?2
            "
        )
    });
    static NEXT: LazyLock<String> = LazyLock::new(|| {
        format!(
            "
            SELECT {ORDER}
              FROM orders
             WHERE user_id = ?1
               AND (create_time, order_id) < (?3, ?4)
             ORDER BY create_time DESC, order_id DESC
             LIMIT ?2
            "
        )
    });
    let user_id = user_id.to_string();
    let orders = match after {
        None => tx
            .prepare_cached(&FIRST)?
            .query_map(params![user_id, limit], rows::order)?
            .collect::<Result<_, _>>()?,
        Some(Place { create_time, order_id }) => tx
            .prepare_cached(&NEXT)?
            .query_map(
                params![user_id, limit, micros(create_time), order_id.to_string()],
                rows::order,
            )?
            .collect::<Result<_, _>>()?,
    };
    Ok(orders)
}

/// Adds an order, unless its request has made one before.
pub(super) fn insert(tx: &Connection, order: &Order) -> Result<bool, Error> {
    let inserted = tx
        .prepare_cached(
            "
            INSERT INTO orders
                   (order_id, user_id, request_id, items, currency, total_minor, state, reason,
                    create_time, update_time)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
            ON CONFLICT (user_id, request_id) DO NOTHING
            ",
        )?
        .execute(params![
            order.order_id.to_string(),
            order.user_id.to_string(),
            order.request_id.to_string(),
            words::items(&order.items),
            order.total.currency().as_str(),
            order.total.minor_units(),
            words::state(order.state),
            order.state.reason().map(Reason::as_str),
            micros(order.create_time),
            micros(order.update_time),
        ])?;
    Ok(inserted == 1)
}

/// Writes the order's new state. The saga that does it is the only one that may.
pub(super) fn update_state(tx: &Connection, order: &Order) -> Result<(), Error> {
    let updated = tx
        .prepare_cached(
            "
            UPDATE orders
               SET state = ?2, reason = ?3, update_time = ?4
             WHERE order_id = ?1
               AND state <> ?2
            ",
        )?
        .execute(params![
            order.order_id.to_string(),
            words::state(order.state),
            order.state.reason().map(Reason::as_str),
            micros(order.update_time),
        ])?;
    if updated == 1 { Ok(()) } else { Err(rusqlite::Error::StatementChangedRows(updated).into()) }
}
