//! Counts of views in Postgres.

use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use trellis_events::inbox::postgres as inbox;
use trellis_storage::{Error, Tx};

use super::{damaged, log};
use crate::CONSUMER;
use crate::domain::{Hour, HourViews, Position, View};
use crate::store::Retention;

#[derive(FromRow)]
struct Row {
    version: i64,
    sku: String,
    hour_time: OffsetDateTime,
    count: i64,
}

pub(super) async fn count(
    mut tx: Tx,
    event_id: &str,
    view: &View,
    now: OffsetDateTime,
) -> Result<Position, Error> {
    if !inbox::admit(&mut tx, CONSUMER, event_id, now).await? {
        return Ok(Position::default());
    }
    // As with baskets, the number is taken after the lock.
    let views = sqlx::query_scalar(
        "
        WITH turn AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared($1))
        INSERT INTO product_views AS known (sku, hour_time, count)
        SELECT $2, $3, 1
          FROM turn
        ON CONFLICT (sku, hour_time) DO UPDATE
           SET version = DEFAULT, count = known.count + 1
        RETURNING version
        ",
    )
    .bind(log::LOCK)
    .bind(view.sku.as_str())
    .bind(view.hour.start())
    .fetch_one(&mut *tx)
    .await?;
    Ok(Position { baskets: 0, views })
}

/// Those behind `version`, up to the horizon.
pub(super) async fn between(
    mut tx: Tx,
    version: i64,
    horizon: Position,
    limit: u32,
) -> Result<Vec<HourViews>, Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "
        SELECT version, sku, hour_time, count
          FROM product_views
         WHERE version > $1
           AND version <= $2
         ORDER BY version
         LIMIT $3
        ",
    )
    .bind(version)
    .bind(horizon.views)
    .bind(i64::from(limit))
    .fetch_all(&mut *tx)
    .await?;
    rows.into_iter().map(Row::views).collect()
}

impl Row {
    fn views(self) -> Result<HourViews, Error> {
        let sku = self.sku.parse().map_err(damaged)?;
        Ok(HourViews {
            version: self.version,
            view: View { sku, hour: Hour::of(self.hour_time) },
            count: u32::try_from(self.count).map_err(damaged)?,
        })
    }
}

/// What was counted long ago has an old version, so no index of times is needed.
pub(super) async fn forget(
    tx: &mut PgConnection,
    retention: &Retention,
    limit: u32,
) -> Result<u32, Error> {
    let deleted = sqlx::query(
        "
        DELETE FROM product_views
         WHERE version IN (SELECT version FROM product_views ORDER BY version LIMIT $1)
           AND version <= $2
           AND hour_time < $3
        ",
    )
    .bind(i64::from(limit))
    .bind(retention.learned.views)
    .bind(retention.views_since)
    .execute(tx)
    .await?;
    Ok(u32::try_from(deleted.rows_affected()).expect("no more are deleted than the limit"))
}
