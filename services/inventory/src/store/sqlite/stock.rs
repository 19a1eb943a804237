//! Units, and the ledger of their movements. Nothing else writes either table.

use rusqlite::{Connection, OptionalExtension as _, params};
use time::OffsetDateTime;
use trellis_api::Sku;
use trellis_storage::idempotency::{self, Claim};
use trellis_storage::micros;

use crate::domain::{Adjustment, Movement, Stock};
use crate::error::Error;
use crate::store::answer::{self, ADJUST, adjusted, adjusted_again, kept};

/// Moves all units of a reservation, and says how many lines that were.
pub(super) fn move_reserved(
    tx: &Connection,
    reservation_id: &str,
    movement: Movement,
    now: OffsetDateTime,
) -> Result<usize, Error> {
    let (on_hand, reserved) = movement.per_unit();
    let stocks = tx
        .prepare_cached(
            "
            UPDATE stock
               SET on_hand = on_hand + ?2 * line.quantity,
                   reserved = reserved + ?3 * line.quantity
              FROM reservation_lines AS line
             WHERE line.reservation_id = ?1
               AND stock.sku = line.sku
            ",
        )?
        .execute(params![reservation_id, on_hand, reserved])?;
    let entries = tx
        .prepare_cached(
            "
            INSERT INTO stock_ledger (sku, on_hand_delta, reserved_delta, kind, reference, time)
            SELECT sku, ?2 * quantity, ?3 * quantity, ?4, ?1, ?5
              FROM reservation_lines
             WHERE reservation_id = ?1
            ",
        )?
        .execute(params![reservation_id, on_hand, reserved, movement.as_str(), micros(now)])?;
    if stocks == entries { Ok(entries) } else { Err(Error::Inconsistent("a line without stock")) }
}

/// Adds units to the shelf, or takes them when `delta` is negative.
pub(super) fn add(
    tx: &Connection,
    sku: &Sku,
    delta: i64,
    movement: Movement,
    reference: Option<&str>,
    now: OffsetDateTime,
) -> Result<(), Error> {
    if delta == 0 {
        return Ok(());
    }
    let changed = tx
        .prepare_cached("UPDATE stock SET on_hand = on_hand + ?2 WHERE sku = ?1")?
        .execute(params![sku.as_str(), delta])?;
    if changed != 1 {
        return Err(Error::Inconsistent("a product without stock"));
    }
    tx.prepare_cached(
        "
        INSERT INTO stock_ledger (sku, on_hand_delta, reserved_delta, kind, reference, time)
        VALUES (?1, ?2, 0, ?3, ?4, ?5)
        ",
    )?
    .execute(params![sku.as_str(), delta, movement.as_str(), reference, micros(now)])?;
    Ok(())
}

/// The inner result is the answer, which stays even when it is a refusal.
pub(super) fn adjust(
    tx: &Connection,
    adjustment: &Adjustment,
    now: OffsetDateTime,
) -> Result<Result<Stock, Error>, Error> {
    let Adjustment { request_id, sku, delta } = adjustment;
    let fingerprint = answer::request(adjustment);
    match idempotency::claim(tx, ADJUST, *request_id, &fingerprint, sku.as_str(), now)? {
        Claim::New => {}
        Claim::Finished(kept) => return Ok(adjusted_again(&kept, adjustment)),
        Claim::Mismatch => return Err(Error::IdReused),
        Claim::InFlight { .. } => return Err(Error::Inconsistent("an unfinished adjustment")),
    }
    let Some(before) = get(tx, sku)? else {
        return Err(Error::ProductNotFound(sku.clone()));
    };
    let answer = adjusted(before, adjustment);
    if answer.is_ok() {
        let reference = request_id.hyphenated().to_string();
        add(tx, sku, *delta, Movement::Adjust, Some(&reference), now)?;
    }
    idempotency::finish(tx, ADJUST, *request_id, &kept(before, &answer))?;
    Ok(answer)
}

fn get(tx: &Connection, sku: &Sku) -> Result<Option<Stock>, Error> {
    let stock = tx
        .prepare_cached("SELECT on_hand, reserved FROM stock WHERE sku = ?1")?
        .query_row([sku.as_str()], |row| Ok(Stock { on_hand: row.get(0)?, reserved: row.get(1)? }))
        .optional()?;
    Ok(stock)
}
