//! Baskets in Postgres.

use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use trellis_api::Sku;
use trellis_api::id::{Bucket, OrderId};
use trellis_events::inbox::postgres as inbox;
use trellis_storage::{Error, Tx};
use uuid::Uuid;

use super::{damaged, followers, log};
use crate::CONSUMER;
use crate::domain::{Basket, LearnedBasket, Position};
use crate::store::{Retention, Survey};

#[derive(FromRow)]
struct Row {
    sequence: i64,
    skus: Vec<String>,
    create_time: OffsetDateTime,
}

pub(super) async fn keep(
    mut tx: Tx,
    event_id: &str,
    basket: &Basket,
    now: OffsetDateTime,
) -> Result<Position, Error> {
    if !inbox::admit(&mut tx, CONSUMER, event_id, now).await? {
        return Ok(Position::default());
    }
    // What the inbox has admitted is a UUID.
    let event_id: Option<Uuid> = event_id.parse().ok();
    let skus: Vec<&str> = basket.skus().iter().map(Sku::as_str).collect();
    // The number is taken for a row of `turn`, so after the lock. An order that is
    // confirmed by two events was still bought once.
    let kept: Option<i64> = sqlx::query_scalar(
        "
        WITH turn AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared($1))
        INSERT INTO baskets (order_id, event_bucket, event_id, skus, create_time)
        SELECT $2, $3, $4, $5, $6
          FROM turn
        ON CONFLICT (order_id) DO NOTHING
        RETURNING sequence
        ",
    )
    .bind(log::LOCK)
    .bind(basket.order_id.uuid())
    .bind(event_id.map(|id| Bucket::of(id).get().cast_signed()))
    .bind(event_id)
    .bind(skus)
    .bind(basket.create_time)
    .fetch_optional(&mut *tx)
    .await?;
    Ok(Position { baskets: kept.unwrap_or_default(), views: 0 })
}

/// Those behind `sequence`, up to the horizon.
pub(super) async fn between(
    mut tx: Tx,
    sequence: i64,
    horizon: Position,
    limit: u32,
) -> Result<Vec<LearnedBasket>, Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "
        SELECT sequence, skus, create_time
          FROM baskets
         WHERE sequence > $1
           AND sequence <= $2
         ORDER BY sequence
         LIMIT $3
        ",
    )
    .bind(sequence)
    .bind(horizon.baskets)
    .bind(i64::from(limit))
    .fetch_all(&mut *tx)
    .await?;
    rows.into_iter().map(Row::basket).collect()
}

impl Row {
    fn basket(self) -> Result<LearnedBasket, Error> {
        let skus: Result<Vec<Sku>, _> = self.skus.into_iter().map(Sku::try_from).collect();
        Ok(LearnedBasket {
            sequence: self.sequence,
            skus: skus.map_err(damaged)?,
            create_time: self.create_time,
        })
    }
}

/// Baskets come in nearly in the order of their times, so the oldest are where the numbers
/// begin, and no index of times is needed. Numbers have gaps, so the newest are counted.
pub(super) async fn forget(
    tx: &mut PgConnection,
    retention: &Retention,
    limit: u32,
) -> Result<u32, Error> {
    let count: Option<i64> = sqlx::query_scalar(
        "
        WITH gone AS (
            DELETE FROM baskets
             WHERE sequence IN (SELECT sequence FROM baskets ORDER BY sequence LIMIT $1)
               AND sequence <= $2
               AND (create_time < $3
                    OR sequence <= (
                       SELECT sequence
                         FROM baskets
                        WHERE sequence <= $2
                        ORDER BY sequence DESC
                       OFFSET $4
                        LIMIT 1))
            RETURNING create_time
        ),
        total AS (
            SELECT count(*) AS baskets, max(create_time) AS until_time FROM gone
        )
        UPDATE forgotten
           SET baskets = forgotten.baskets + total.baskets,
               until_time = greatest(forgotten.until_time, total.until_time)
          FROM total
         WHERE 0 < total.baskets
        RETURNING total.baskets
        ",
    )
    .bind(i64::from(limit))
    .bind(retention.learned.baskets)
    .bind(retention.baskets_since)
    .bind(retention.baskets)
    .fetch_optional(tx)
    .await?;
    Ok(u32::try_from(count.unwrap_or_default()).expect("no more are deleted than the limit"))
}

pub(super) async fn survey(
    mut tx: Tx,
    sequence: i64,
    heard_since: OffsetDateTime,
) -> Result<Survey, Error> {
    let (baskets, young) = sqlx::query_as(
        "
        SELECT count(*), count(*) FILTER (WHERE create_time >= $2)
          FROM baskets
         WHERE sequence <= $1
        ",
    )
    .bind(sequence)
    .bind(heard_since)
    .fetch_one(&mut *tx)
    .await?;
    let unheard: Vec<Uuid> = sqlx::query_scalar(
        "
        SELECT order_id
          FROM baskets
         WHERE sequence <= $1
           AND create_time >= $2
           AND NOT EXISTS (
               SELECT
                 FROM inbox
                WHERE consumer = $3
                  AND bucket = baskets.event_bucket
                  AND event_id = baskets.event_id)
         ORDER BY sequence
         LIMIT 100
        ",
    )
    .bind(sequence)
    .bind(heard_since)
    .bind(CONSUMER)
    .fetch_all(&mut *tx)
    .await?;
    let unheard = unheard.into_iter().map(OrderId::from_uuid).collect();
    Ok(Survey { baskets, forgotten: followers::forgotten(&mut tx).await?, young, unheard })
}

pub(super) async fn order_ids(
    mut tx: Tx,
    sequence: i64,
    horizon: Position,
    limit: u32,
) -> Result<Vec<(i64, OrderId)>, Error> {
    let rows: Vec<(i64, Uuid)> = sqlx::query_as(
        "
        SELECT sequence, order_id
          FROM baskets
         WHERE sequence > $1
           AND sequence <= $2
         ORDER BY sequence
         LIMIT $3
        ",
    )
    .bind(sequence)
    .bind(horizon.baskets)
    .bind(i64::from(limit))
    .fetch_all(&mut *tx)
    .await?;
    Ok(rows.into_iter().map(|(sequence, id)| (sequence, OrderId::from_uuid(id))).collect())
}
