//! Baskets in SQLite.

use rusqlite::{Connection, Row};
use time::OffsetDateTime;
use trellis_api::Sku;
use trellis_api::id::OrderId;
use trellis_events::inbox;
use trellis_storage::{Error, from_micros, micros};

use super::{parse, time};
use crate::CONSUMER;
use crate::domain::{Basket, LearnedBasket, Position};
use crate::store::{Forgotten, Retention, Survey};

/// No SKU holds it.
const SEPARATOR: &str = " ";

pub(super) fn keep(
    tx: &Connection,
    event_id: &str,
    basket: &Basket,
    now: OffsetDateTime,
) -> Result<Position, Error> {
    if !inbox::admit(tx, CONSUMER, event_id, now)? {
        return Ok(Position::default());
    }
    let skus: Vec<&str> = basket.skus().iter().map(Sku::as_str).collect();
    // An order that is confirmed by two events was still bought once.
    let kept = tx
        .prepare_cached(
            "
            INSERT INTO baskets (order_id, event_id, skus, create_time)
            VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT (order_id) DO NOTHING
            ",
        )?
        .execute((
            basket.order_id.to_string(),
            event_id,
            skus.join(SEPARATOR),
            micros(basket.create_time),
        ))?;
    let baskets = if kept == 0 { 0 } else { tx.last_insert_rowid() };
    Ok(Position { baskets, views: 0 })
}

pub(super) fn after(
    tx: &Connection,
    sequence: i64,
    limit: u32,
) -> Result<Vec<LearnedBasket>, Error> {
    let mut statement = tx.prepare_cached(
        "
        SELECT sequence, skus, create_time
          FROM baskets
         WHERE sequence > ?1
         ORDER BY sequence
         LIMIT ?2
        ",
    )?;
    let rows = statement.query_map((sequence, limit), |row| {
        let skus = row.get_ref(1)?.as_str()?.split(SEPARATOR);
        Ok(LearnedBasket {
            sequence: row.get(0)?,
            skus: skus.map(|sku| parse(1, sku)).collect::<Result<_, _>>()?,
            create_time: time(row, 2)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Baskets come in nearly in the order of their times, so the oldest are where
/// the numbers begin, and no index of times is needed.
pub(super) fn forget(tx: &Connection, retention: &Retention, limit: u32) -> Result<u32, Error> {
    let mut statement = tx.prepare_cached(
        "
        DELETE FROM baskets
         WHERE sequence IN (SELECT sequence FROM baskets ORDER BY sequence LIMIT ?1)
           AND sequence <= ?2
           AND (create_time < ?3 OR sequence <= ?2 - ?4)
        RETURNING create_time
        ",
    )?;
    let deleted = statement.query_map(
        (limit, retention.learned.baskets, micros(retention.baskets_since), retention.baskets),
        |row| row.get(0),
    )?;
    let times: Vec<i64> = deleted.collect::<Result<_, _>>()?;
    let count = u32::try_from(times.len()).expect("no more are deleted than the limit");
    if let Some(newest) = times.iter().max() {
        tx.prepare_cached(
            "
            UPDATE forgotten
               SET baskets = baskets + ?1,
                   until_time = MAX(COALESCE(until_time, ?2), ?2)
            ",
        )?
        .execute((count, newest))?;
    }
    Ok(count)
}

pub(super) fn forgotten(tx: &Connection) -> Result<Forgotten, Error> {
    let mut statement = tx.prepare_cached("SELECT baskets, until_time FROM forgotten")?;
    let read = |row: &Row<'_>| {
        let until: Option<i64> = row.get(1)?;
        Ok(Forgotten { baskets: row.get(0)?, until: until.map(from_micros) })
    };
    Ok(statement.query_row([], read)?)
}

pub(super) fn survey(
    tx: &Connection,
    sequence: i64,
    heard_since: OffsetDateTime,
) -> Result<Survey, Error> {
    let (baskets, young) = tx
        .prepare_cached(
            "
            SELECT COUNT(*), COUNT(*) FILTER (WHERE create_time >= ?2)
              FROM baskets
             WHERE sequence <= ?1
            ",
        )?
        .query_row((sequence, micros(heard_since)), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut statement = tx.prepare_cached(
        "
        SELECT order_id
          FROM baskets
         WHERE sequence <= ?1
           AND create_time >= ?2
           AND NOT EXISTS (
               SELECT 1
                 FROM inbox
                WHERE consumer = ?3
                  AND event_id = baskets.event_id)
         ORDER BY sequence
         LIMIT 100
        ",
    )?;
    let unheard = statement
        .query_map((sequence, micros(heard_since), CONSUMER), |row| {
            parse(0, row.get_ref(0)?.as_str()?)
        })?
        .collect::<Result<_, _>>()?;
    Ok(Survey { baskets, forgotten: forgotten(tx)?, young, unheard })
}

pub(super) fn order_ids(
    tx: &Connection,
    sequence: i64,
    limit: u32,
) -> Result<Vec<(i64, OrderId)>, Error> {
    let mut statement = tx.prepare_cached(
        "
        SELECT sequence, order_id
          FROM baskets
         WHERE sequence > ?1
         ORDER BY sequence
         LIMIT ?2
        ",
    )?;
    let rows = statement.query_map((sequence, limit), |row| {
        Ok((row.get(0)?, parse(1, row.get_ref(1)?.as_str()?)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
