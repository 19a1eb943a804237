//! Carts.

use rusqlite::{Connection, params};
use time::OffsetDateTime;
use trellis_api::id::UserId;
use trellis_api::{Quantity, Sku};
use trellis_events::inbox;
use trellis_storage::{Error, micros};

use super::rows::{bad, parse};
use crate::CONSUMER;
use crate::domain::{Line, MAX_LINES};
use crate::store::CartChanged;

pub(super) fn lines(tx: &Connection, user_id: UserId) -> Result<Vec<Line>, Error> {
    let mut statement = tx.prepare_cached(
        "
        SELECT sku, quantity
          FROM carts
         WHERE user_id = ?1
         ORDER BY sku
        ",
    )?;
    let lines = statement.query_map([user_id.to_string()], |row| {
        let quantity: i32 = row.get(1)?;
        let quantity = quantity.try_into().map_err(|error| bad(1, error))?;
        Ok(Line { sku: parse(row, 0)?, quantity })
    })?;
    Ok(lines.collect::<Result<_, _>>()?)
}

pub(super) fn set(
    tx: &Connection,
    user_id: UserId,
    sku: &Sku,
    quantity: Option<Quantity>,
    now: OffsetDateTime,
) -> Result<Option<CartChanged>, Error> {
    let was_empty = is_empty(tx, user_id)?;
    let Some(quantity) = quantity else {
        remove(tx, user_id, sku)?;
        return Ok(Some(CartChanged { lines: lines(tx, user_id)?, was_empty }));
    };
    put(tx, user_id, sku, quantity, now)?;
    let lines = lines(tx, user_id)?;
    if MAX_LINES < lines.len() {
        remove(tx, user_id, sku)?;
        return Ok(None);
    }
    Ok(Some(CartChanged { lines, was_empty }))
}

fn is_empty(tx: &Connection, user_id: UserId) -> Result<bool, Error> {
    let mut statement = tx.prepare_cached("SELECT 1 FROM carts WHERE user_id = ?1 LIMIT 1")?;
    Ok(!statement.exists([user_id.to_string()])?)
}

fn put(
    tx: &Connection,
    user_id: UserId,
    sku: &Sku,
    quantity: Quantity,
    now: OffsetDateTime,
) -> Result<(), Error> {
    tx.prepare_cached(
        "
        INSERT INTO carts (user_id, sku, quantity, update_time)
        VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (user_id, sku) DO UPDATE
           SET quantity = excluded.quantity,
               update_time = excluded.update_time
        ",
    )?
    .execute(params![user_id.to_string(), sku.as_str(), quantity.get(), micros(now)])?;
    Ok(())
}

fn remove(tx: &Connection, user_id: UserId, sku: &Sku) -> Result<(), Error> {
    tx.prepare_cached("DELETE FROM carts WHERE user_id = ?1 AND sku = ?2")?
        .execute(params![user_id.to_string(), sku.as_str()])?;
    Ok(())
}

/// Removes what was in the cart at `until`; what was put or changed later stays.
pub(super) fn clear(tx: &Connection, user_id: UserId, until: OffsetDateTime) -> Result<(), Error> {
    tx.prepare_cached("DELETE FROM carts WHERE user_id = ?1 AND update_time <= ?2")?
        .execute(params![user_id.to_string(), micros(until)])?;
    Ok(())
}

pub(super) fn forget(
    tx: &Connection,
    event_id: &str,
    user_id: UserId,
    now: OffsetDateTime,
) -> Result<(), Error> {
    if inbox::admit(tx, CONSUMER, event_id, now)? {
        tx.prepare_cached("DELETE FROM carts WHERE user_id = ?1")?
            .execute([user_id.to_string()])?;
    }
    Ok(())
}
