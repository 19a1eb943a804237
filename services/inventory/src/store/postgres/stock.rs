//! Units, and the ledger of their movements. Nothing else writes either table, but for
//! reserves, and the first row of a product's stock.

use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use trellis_api::Sku;
use trellis_api::id::Bucket;
use trellis_storage::Tx;
use trellis_storage::idempotency::{Claim, postgres as idempotency};
use uuid::Uuid;

use crate::domain::{Adjustment, Movement, State, Stock};
use crate::error::Error;
use crate::store::answer::{self, ADJUST, adjusted, adjusted_again, kept};

/// How many reservations, how many lines, and how many of the lines have a stock.
#[derive(FromRow)]
struct Counts {
    changed: i64,
    moved: i64,
    stocked: i64,
}

/// Moves all units of reservations, which are locked and all in the state `from`, and
/// says what they are now.
pub(super) async fn move_reserved(
    tx: &mut PgConnection,
    ids: &[Uuid],
    from: State,
    movement: Movement,
    now: OffsetDateTime,
) -> Result<State, Error> {
    let to = movement.leads_to().ok_or(Error::Inconsistent("a step that leads nowhere"))?;
    if ids.is_empty() {
        return Ok(to);
    }
    let (on_hand, reserved) = movement.per_unit();
    let Counts { changed, moved, stocked } = sqlx::query_as(
        "SELECT changed, moved, stocked FROM move_units($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(ids)
    .bind(from.as_str())
    .bind(to.as_str())
    .bind(movement.as_str())
    .bind(on_hand)
    .bind(reserved)
    .bind(now)
    .fetch_one(tx)
    .await?;
    if usize::try_from(changed) != Ok(ids.len()) {
        return Err(Error::Inconsistent("a reservation that changed under its writer"));
    }
    if moved == stocked { Ok(to) } else { Err(Error::Inconsistent("a line without stock")) }
}

/// Adds units to shelves, or takes them where the number is negative. Of several products
/// the stock is locked.
pub(super) async fn add(
    tx: &mut PgConnection,
    skus: &[&str],
    deltas: &[i64],
    movement: Movement,
    reference: Option<Uuid>,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let entries = sqlx::query(
        "
        WITH added AS (
             UPDATE stock
                SET on_hand = on_hand + delta
               FROM unnest($1::text[], $2::bigint[]) AS addition (added_sku, delta)
              WHERE sku = added_sku
             RETURNING sku, delta
             )
        INSERT INTO stock_ledger (sku, on_hand_delta, reserved_delta, kind, reference, time)
        SELECT sku, delta, 0, $3, $4, $5
          FROM added
        ",
    )
    .bind(skus)
    .bind(deltas)
    .bind(movement.as_str())
    .bind(reference)
    .bind(now)
    .execute(tx)
    .await?
    .rows_affected();
    if usize::try_from(entries) == Ok(skus.len()) {
        Ok(())
    } else {
        Err(Error::Inconsistent("a product without stock"))
    }
}

/// The inner result is the answer, which stays even when it is a refusal.
pub(super) async fn adjust(
    mut tx: Tx,
    adjustment: &Adjustment,
    now: OffsetDateTime,
) -> Result<Result<Stock, Error>, Error> {
    let Adjustment { request_id, sku, delta } = adjustment;
    // Nobody's: the nil UUID has bucket 0.
    let bucket = Bucket::of(Uuid::nil());
    let key = idempotency::Key { bucket, scope: ADJUST, key: *request_id };
    let fingerprint = answer::request(adjustment);
    match idempotency::claim(&mut tx, key, &fingerprint, sku.as_str(), now).await? {
        Claim::New => {}
        Claim::Finished(kept) => return Ok(adjusted_again(&kept, adjustment)),
        Claim::Mismatch => return Err(Error::IdReused),
        Claim::InFlight { .. } => return Err(Error::Inconsistent("an unfinished adjustment")),
    }
    let before = lock(&mut tx, sku).await?.ok_or_else(|| Error::ProductNotFound(sku.clone()))?;
    let answer = adjusted(before, adjustment);
    if answer.is_ok() {
        let (skus, deltas, reference) = ([sku.as_str()], [*delta], Some(*request_id));
        add(&mut tx, &skus, &deltas, Movement::Adjust, reference, now).await?;
    }
    idempotency::finish(&mut tx, key, &kept(before, &answer)).await?;
    Ok(answer)
}

async fn lock(tx: &mut PgConnection, sku: &Sku) -> Result<Option<Stock>, Error> {
    let stock: Option<(i64, i64)> =
        sqlx::query_as("SELECT on_hand, reserved FROM stock WHERE sku = $1 FOR NO KEY UPDATE")
            .bind(sku.as_str())
            .fetch_optional(tx)
            .await?;
    Ok(stock.map(|(on_hand, reserved)| Stock { on_hand, reserved }))
}
