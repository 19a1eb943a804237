//! Reservations: made and ended.
//!
//! There is one writer, so what a unit of work has read stays true until it ends.

use std::fmt::Write as _;

use rusqlite::{Connection, params};
use time::OffsetDateTime;
use trellis_api::id::ReservationId;
use trellis_storage::{from_micros, micros};

use super::records::{lines, record};
use super::{sku, stock};
use crate::domain::{Lines, Movement, Refusal, Reservation, Reserve, Shortage, State, Step};
use crate::error::Error;
use crate::store::Verdict;
use crate::store::answer::{fingerprint, held};

/// As many lines as one expiry moves, give or take one reservation: it bounds
/// the wait of the next writer.
const MOST_LINES: usize = 10_000;

/// The inner result is the answer, which stays even when it is a refusal.
pub(super) fn reserve(
    tx: &Connection,
    reserve: &Reserve,
    now: OffsetDateTime,
) -> Result<Verdict, Error> {
    let id = reserve.reservation_id.to_string();
    if let Some(record) = record(tx, &id)? {
        return Ok(record.repeat(reserve, now));
    }
    let fingerprint = fingerprint(&reserve.lines);
    let wanted = json(&reserve.lines);
    if let Some(shortage) = shortage(tx, &wanted)? {
        tx.prepare_cached(
            "
            INSERT INTO reservations (
                   reservation_id, state, fingerprint, rejected_sku, rejected_available,
                   create_time, update_time)
            VALUES (?1, 'rejected', ?2, ?3, ?4, ?5, ?5)
            ",
        )?
        .execute(params![
            id,
            fingerprint.0,
            shortage.sku.as_str(),
            shortage.available,
            micros(now)
        ])?;
        return Ok(Err(Error::OutOfStock(shortage)));
    }
    let expire_time = micros(now + reserve.ttl);
    tx.prepare_cached(
        "
        INSERT INTO reservations (
               reservation_id, state, fingerprint, expire_time, create_time, update_time)
        VALUES (?1, 'held', ?2, ?3, ?4, ?4)
        ",
    )?
    .execute(params![id, fingerprint.0, expire_time, micros(now)])?;
    tx.prepare_cached(
        "
        INSERT INTO reservation_lines (reservation_id, sku, quantity)
        SELECT ?1, key, value
          FROM json_each(?2)
        ",
    )?
    .execute(params![id, wanted])?;
    stock::move_reserved(tx, &id, Movement::Reserve, now)?;
    Ok(Ok(held(reserve, State::Held, Some(from_micros(expire_time)))))
}

/// Takes the step that `decide` allows, if it was not taken before.
pub(super) fn step(
    tx: &Connection,
    reservation_id: ReservationId,
    now: OffsetDateTime,
    decide: impl Fn(State, bool) -> Result<Step, Refusal>,
) -> Result<Reservation, Error> {
    let id = reservation_id.to_string();
    let record = record(tx, &id)?.ok_or(Error::ReservationNotFound)?;
    let state = match decide(record.state, record.lapsed(now))? {
        Step::Take(movement) => take(tx, &id, record.state, movement, now)?.0,
        Step::Done => record.state,
    };
    let lines = lines(tx, &id)?;
    Ok(Reservation { reservation_id, state, lines, expire_time: record.expire_time })
}

/// Leaves a tombstone when there is nothing to release, so that a reserve that
/// is still on its way is refused.
pub(super) fn release(
    tx: &Connection,
    reservation_id: ReservationId,
    now: OffsetDateTime,
) -> Result<Reservation, Error> {
    match step(tx, reservation_id, now, |state, _| state.release()) {
        Err(Error::ReservationNotFound) => bury(tx, reservation_id, now),
        answer => answer,
    }
}

pub(super) fn expire(tx: &Connection, limit: u32, now: OffsetDateTime) -> Result<u32, Error> {
    let due: Vec<String> = tx
        .prepare_cached(
            "
            SELECT reservation_id
              FROM reservations
             WHERE state = 'held'
               AND expire_time <= ?1
             ORDER BY expire_time
             LIMIT ?2
            ",
        )?
        .query_map(params![micros(now), limit], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let (mut expired, mut moved) = (0, 0);
    for id in due {
        moved += take(tx, &id, State::Held, Movement::Expire, now)?.1;
        expired += 1;
        if MOST_LINES <= moved {
            break;
        }
    }
    Ok(expired)
}

fn bury(
    tx: &Connection,
    reservation_id: ReservationId,
    now: OffsetDateTime,
) -> Result<Reservation, Error> {
    tx.prepare_cached(
        "
        INSERT INTO reservations (reservation_id, state, create_time, update_time)
        VALUES (?1, 'released', ?2, ?2)
        ",
    )?
    .execute(params![reservation_id.to_string(), micros(now)])?;
    let (state, lines) = (State::Released, Vec::new());
    Ok(Reservation { reservation_id, state, lines, expire_time: None })
}

/// Moves the units of a reservation, and says what it is now and how many lines it has.
fn take(
    tx: &Connection,
    id: &str,
    from: State,
    movement: Movement,
    now: OffsetDateTime,
) -> Result<(State, usize), Error> {
    let to = movement.leads_to().ok_or(Error::Inconsistent("a step that leads nowhere"))?;
    let changed = tx
        .prepare_cached(
            "
            UPDATE reservations
               SET state = ?3, update_time = ?4
             WHERE reservation_id = ?1
               AND state = ?2
            ",
        )?
        .execute(params![id, from.as_str(), to.as_str(), micros(now)])?;
    if changed != 1 {
        return Err(Error::Inconsistent("a reservation that changed under its writer"));
    }
    Ok((to, stock::move_reserved(tx, id, movement, now)?))
}

/// The first line, by SKU, that asks for more than there is. What the catalogue
/// does not have is not in stock either.
fn shortage(tx: &Connection, lines: &str) -> Result<Option<Shortage>, Error> {
    tx.prepare_cached(
        "
        SELECT line.key, line.value, coalesce(on_hand - reserved, 0) AS available
          FROM json_each(?1) AS line
          LEFT JOIN stock ON stock.sku = line.key
         WHERE available < line.value
         LIMIT 1
        ",
    )?
    .query_and_then([lines], |row| {
        Ok(Shortage { sku: sku(row, 0)?, requested: row.get(1)?, available: row.get(2)? })
    })?
    .next()
    .transpose()
}

/// `{"MUG":2,…}`. The letters of a SKU need no escaping.
fn json(lines: &Lines) -> String {
    let mut text = String::with_capacity(20 * lines.len());
    for (index, line) in lines.iter().enumerate() {
        let separator = if index == 0 { '{' } else { ',' };
        write!(text, "{separator}\"{}\":{}", line.sku, line.quantity.get())
            .expect("a string takes all that is written to it");
    }
    text.push('}');
    text
}
