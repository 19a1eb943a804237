//! Counts of views in SQLite.

use rusqlite::Connection;
use time::OffsetDateTime;
use trellis_events::inbox;
use trellis_storage::{Error, micros};

use super::{parse, time};
use crate::CONSUMER;
use crate::domain::{Hour, HourViews, Position, View};
use crate::store::Retention;

pub(super) fn count(
    tx: &Connection,
    event_id: &str,
    view: &View,
    now: OffsetDateTime,
) -> Result<Position, Error> {
    if !inbox::admit(tx, CONSUMER, event_id, now)? {
        return Ok(Position::default());
    }
    // REPLACE, unlike an upsert, gives the row a new version.
    tx.prepare_cached(
        "
        REPLACE INTO product_views (sku, hour_time, count)
        VALUES (?1, ?2, 1 + COALESCE(
               (SELECT count FROM product_views WHERE sku = ?1 AND hour_time = ?2), 0))
        ",
    )?
    .execute((view.sku.as_str(), micros(view.hour.start())))?;
    Ok(Position { baskets: 0, views: tx.last_insert_rowid() })
}

pub(super) fn after(tx: &Connection, version: i64, limit: u32) -> Result<Vec<HourViews>, Error> {
    let mut statement = tx.prepare_cached(
        "
        SELECT version, sku, hour_time, count
          FROM product_views
         WHERE version > ?1
         ORDER BY version
         LIMIT ?2
        ",
    )?;
    let rows = statement.query_map((version, limit), |row| {
        let sku = parse(1, row.get_ref(1)?.as_str()?)?;
        let view = View { sku, hour: Hour::of(time(row, 2)?) };
        Ok(HourViews { version: row.get(0)?, view, count: row.get(3)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What was counted long ago has an old version, so no index of times is needed.
pub(super) fn forget(tx: &Connection, retention: &Retention, limit: u32) -> Result<u32, Error> {
    let mut statement = tx.prepare_cached(
        "
        DELETE FROM product_views
         WHERE version IN (SELECT version FROM product_views ORDER BY version LIMIT ?1)
           AND version <= ?2
           AND hour_time < ?3
        ",
    )?;
    let deleted =
        statement.execute((limit, retention.learned.views, micros(retention.views_since)))?;
    Ok(u32::try_from(deleted).expect("no more are deleted than the limit"))
}
