//! Carts.

use sqlx::PgConnection;
use time::OffsetDateTime;
use trellis_api::id::UserId;
use trellis_api::{Quantity, Sku};
use trellis_events::inbox::postgres as inbox;
use trellis_storage::{Error, Tx};

use super::number;
use super::rows::{bad, parse};
use crate::CONSUMER;
use crate::domain::{Line, MAX_LINES};
use crate::store::CartChanged;

pub(super) async fn lines(tx: &mut PgConnection, user_id: UserId) -> Result<Vec<Line>, Error> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "
        SELECT sku, quantity
          FROM carts
         WHERE bucket = $1
           AND user_id = $2
         ORDER BY sku
        ",
    )
    .bind(number(user_id.bucket()))
    .bind(user_id.uuid())
    .fetch_all(tx)
    .await?;
    let line = |(sku, quantity): (String, i64)| {
        let quantity = i32::try_from(quantity).map_err(bad)?;
        Ok(Line { sku: parse(&sku)?, quantity: quantity.try_into().map_err(bad)? })
    };
    Ok(rows.into_iter().map(line).collect::<Result<_, sqlx::Error>>()?)
}

/// Three statements. One writer at a time, so that a cart never has a line too many; a
/// sale that empties it meanwhile is as good as one that does so afterwards.
pub(super) async fn set(
    mut tx: Tx,
    user_id: UserId,
    sku: &Sku,
    quantity: Option<Quantity>,
    now: OffsetDateTime,
) -> Result<Option<CartChanged>, Error> {
    lock(&mut tx, user_id).await?;
    let mut lines = lines(&mut tx, user_id).await?;
    let was_empty = lines.is_empty();
    match (lines.binary_search_by(|line| line.sku.cmp(sku)), quantity) {
        (Ok(index), Some(quantity)) => {
            lines[index].quantity = quantity;
            put(&mut tx, user_id, sku, quantity, now).await?;
        }
        (Err(_), Some(_)) if MAX_LINES <= lines.len() => return Ok(None),
        (Err(index), Some(quantity)) => {
            lines.insert(index, Line { sku: sku.clone(), quantity });
            put(&mut tx, user_id, sku, quantity, now).await?;
        }
        (Ok(index), None) => {
            lines.remove(index);
            remove(&mut tx, user_id, sku).await?;
        }
        (Err(_), None) => {}
    }
    Ok(Some(CartChanged { lines, was_empty }))
}

/// Keeps others from setting lines of this cart until the transaction ends.
///
/// The key is the half of the id that is random. Two customers who should share it wait for
/// each other, and no more.
async fn lock(tx: &mut PgConnection, user_id: UserId) -> Result<(), Error> {
    let (_, random) = user_id.uuid().as_u64_pair();
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(random.cast_signed()).execute(tx).await?;
    Ok(())
}

async fn put(
    tx: &mut PgConnection,
    user_id: UserId,
    sku: &Sku,
    quantity: Quantity,
    now: OffsetDateTime,
) -> Result<(), Error> {
    sqlx::query(
        "
        INSERT INTO carts (bucket, user_id, sku, quantity, update_time)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (bucket, user_id, sku) DO UPDATE
           SET quantity = excluded.quantity,
               update_time = excluded.update_time
        ",
    )
    .bind(number(user_id.bucket()))
    .bind(user_id.uuid())
    .bind(sku.as_str())
    .bind(i64::from(quantity.get()))
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}

async fn remove(tx: &mut PgConnection, user_id: UserId, sku: &Sku) -> Result<(), Error> {
    sqlx::query("DELETE FROM carts WHERE bucket = $1 AND user_id = $2 AND sku = $3")
        .bind(number(user_id.bucket()))
        .bind(user_id.uuid())
        .bind(sku.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// Locks the rows by SKU, as a sale that empties the cart does.
pub(super) async fn forget(
    mut tx: Tx,
    event_id: &str,
    user_id: UserId,
    now: OffsetDateTime,
) -> Result<(), Error> {
    if !inbox::admit(&mut tx, CONSUMER, event_id, now).await? {
        return Ok(());
    }
    sqlx::query(
        "
        WITH lines AS MATERIALIZED (
            SELECT sku
              FROM carts
             WHERE bucket = $1
               AND user_id = $2
             ORDER BY sku
               FOR UPDATE
        )
        DELETE FROM carts
         USING lines
         WHERE carts.bucket = $1
           AND carts.user_id = $2
           AND carts.sku = lines.sku
        ",
    )
    .bind(number(user_id.bucket()))
    .bind(user_id.uuid())
    .execute(&mut *tx)
    .await?;
    Ok(())
}
