//! Reservations as they are kept: found and listed.

use rusqlite::{Connection, Row, params};
use trellis_api::id::ReservationId;
use trellis_storage::from_micros;

use super::sku;
use crate::domain::{Line, Reservation, State};
use crate::error::Error;
use crate::store::answer::{self, Record};

/// As many reservations as a page has at most.
const PAGE: u32 = 500;
/// As many lines as a page has, give or take one reservation: it bounds the
/// size of a message.
const MOST_LINES: usize = 10_000;

pub(super) fn get(tx: &Connection, reservation_id: ReservationId) -> Result<Reservation, Error> {
    let id = reservation_id.to_string();
    let record = record(tx, &id)?.ok_or(Error::ReservationNotFound)?;
    let lines = lines(tx, &id)?;
    let Record { state, expire_time, .. } = record;
    Ok(Reservation { reservation_id, state, lines, expire_time })
}

pub(super) fn after(
    tx: &Connection,
    after: Option<ReservationId>,
) -> Result<Vec<Reservation>, Error> {
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    let mut statement = tx.prepare_cached(
        "
        SELECT reservation_id, state, expire_time
          FROM reservations
         WHERE reservation_id > ?1
         ORDER BY reservation_id
         LIMIT ?2
        ",
    )?;
    let mut rows = statement.query(params![after, PAGE])?;
    let (mut page, mut read) = (Vec::new(), 0);
    while let Some(row) = rows.next()?
        && read < MOST_LINES
    {
        let id: String = row.get(0)?;
        let reservation_id = id.parse().map_err(|_| Error::Inconsistent("a reservation id"))?;
        let (state, expire_time) = (state(row, 1)?, row.get::<_, Option<_>>(2)?.map(from_micros));
        let lines = match state {
            State::Held | State::Committed => lines(tx, &id)?,
            _ => Vec::new(),
        };
        read += lines.len();
        page.push(Reservation { reservation_id, state, lines, expire_time });
    }
    Ok(page)
}

pub(super) fn record(tx: &Connection, id: &str) -> Result<Option<Record>, Error> {
    tx.prepare_cached(
        "
        SELECT state, fingerprint, expire_time, rejected_sku, rejected_available
          FROM reservations
         WHERE reservation_id = ?1
        ",
    )?
    .query_and_then([id], |row| {
        let available: Option<i64> = row.get(4)?;
        Ok(Record {
            state: state(row, 0)?,
            fingerprint: row.get(1)?,
            expire_time: row.get::<_, Option<_>>(2)?.map(from_micros),
            rejected: available.map(|units| Ok::<_, Error>((sku(row, 3)?, units))).transpose()?,
        })
    })?
    .next()
    .transpose()
}

pub(super) fn lines(tx: &Connection, id: &str) -> Result<Vec<Line>, Error> {
    tx.prepare_cached(
        "
        SELECT sku, quantity
          FROM reservation_lines
         WHERE reservation_id = ?1
         ORDER BY sku
        ",
    )?
    .query_and_then([id], |row| {
        let quantity = row.get::<_, i32>(1)?.try_into();
        let quantity = quantity.map_err(|_| Error::Inconsistent("a quantity"))?;
        Ok(Line { sku: sku(row, 0)?, quantity })
    })?
    .collect()
}

fn state(row: &Row<'_>, column: usize) -> Result<State, Error> {
    answer::state(row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?)
}
