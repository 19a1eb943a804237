//! Looks for broken invariants.
//!
//! The stock and what is held are read in one snapshot. The ledger is too long
//! for that: it only grows, so its entries up to the snapshot's last one are
//! summed up in pages afterwards, and no snapshot stays open for long.

use rusqlite::{Connection, Row, params};
use time::OffsetDateTime;
use trellis_storage::{Sqlite, micros};

use crate::domain::{Check, Violation};
use crate::error::Error;
use crate::store::audit::{self, GRACE, MOST_VIOLATIONS, Units, UnitsBySku};

/// How many ledger entries are summed up at a time.
const PAGE: i64 = 100_000;

/// What one snapshot tells.
struct Snapshot {
    checks: Vec<Check>,
    stock: UnitsBySku,
    last_entry: i64,
}

pub(super) async fn run(database: &Sqlite, now: OffsetDateTime) -> Result<Vec<Check>, Error> {
    let Snapshot { mut checks, stock, last_entry } =
        database.read(move |tx| snapshot(tx, now)).await?;
    let mut ledger = UnitsBySku::new();
    let mut examined = 0;
    for from in (0..last_entry).step_by(usize::try_from(PAGE).expect("a page is small")) {
        let to = last_entry.min(from + PAGE);
        let page = database.read(move |tx| ledger_sums(tx, from, to)).await?;
        for (sku, units, entries) in page {
            let sum = ledger.entry(sku).or_default();
            sum.on_hand += units.on_hand;
            sum.reserved += units.reserved;
            examined += entries;
        }
    }
    checks.push(audit::ledger(&stock, &ledger, examined));
    Ok(checks)
}

fn snapshot(tx: &Connection, now: OffsetDateTime) -> Result<Snapshot, Error> {
    let checks = vec![oversold(tx)?, held(tx)?, overdue(tx, now)?];
    let stock = tx
        .prepare_cached("SELECT sku, on_hand, reserved FROM stock")?
        .query_and_then([], |row| Ok((row.get(0)?, units(row, 1)?)))?
        .collect::<Result<_, Error>>()?;
    let last_entry = count(tx, "SELECT coalesce(max(sequence), 0) FROM stock_ledger")?;
    Ok(Snapshot { checks, stock, last_entry })
}

fn oversold(tx: &Connection) -> Result<Check, Error> {
    let violations = violations(
        tx,
        "
        SELECT sku, format('%d on hand, %d reserved', on_hand, reserved)
          FROM stock
         WHERE NOT (reserved BETWEEN 0 AND on_hand)
         LIMIT ?1
        ",
        params![MOST_VIOLATIONS],
    )?;
    let examined = count(tx, "SELECT count(*) FROM stock")?;
    Ok(Check { invariant: audit::NOT_OVERSOLD, examined, violations })
}

fn held(tx: &Connection) -> Result<Check, Error> {
    let violations = violations(
        tx,
        "
        WITH units (sku, reserved, held) AS (
             SELECT sku, reserved, 0
               FROM stock
              UNION ALL
             SELECT line.sku, 0, line.quantity
               FROM reservations INDEXED BY reservations_due
               JOIN reservation_lines AS line USING (reservation_id)
              WHERE state = 'held'
             )
        SELECT sku, format('%d reserved, %d held', sum(reserved), sum(held))
          FROM units
         GROUP BY sku
        HAVING sum(reserved) <> sum(held)
         LIMIT ?1
        ",
        params![MOST_VIOLATIONS],
    )?;
    let examined = count(tx, "SELECT count(*) FROM stock")?;
    Ok(Check { invariant: audit::HELD, examined, violations })
}

fn overdue(tx: &Connection, now: OffsetDateTime) -> Result<Check, Error> {
    let violations = violations(
        tx,
        "
        SELECT reservation_id, format('held %d s too long', (?2 - expire_time) / 1000000)
          FROM reservations
         WHERE state = 'held'
           AND expire_time < ?3
         ORDER BY expire_time
         LIMIT ?1
        ",
        params![MOST_VIOLATIONS, micros(now), micros(now - GRACE)],
    )?;
    let examined = count(tx, "SELECT count(*) FROM reservations WHERE state = 'held'")?;
    Ok(Check { invariant: audit::IN_TIME, examined, violations })
}

fn ledger_sums(tx: &Connection, from: i64, to: i64) -> Result<Vec<(String, Units, i64)>, Error> {
    tx.prepare_cached(
        "
        SELECT sku, sum(on_hand_delta), sum(reserved_delta), count(*)
          FROM stock_ledger
         WHERE sequence > ?1
           AND sequence <= ?2
         GROUP BY sku
        ",
    )?
    .query_and_then([from, to], |row| Ok((row.get(0)?, units(row, 1)?, row.get(3)?)))?
    .collect()
}

fn violations(
    tx: &Connection,
    query: &str,
    parameters: &[&dyn rusqlite::ToSql],
) -> Result<Vec<Violation>, Error> {
    tx.prepare_cached(query)?
        .query_and_then(parameters, |row| {
            Ok(Violation { subject: row.get(0)?, detail: row.get(1)? })
        })?
        .collect()
}

fn count(tx: &Connection, query: &str) -> Result<i64, Error> {
    Ok(tx.prepare_cached(query)?.query_row([], |row| row.get(0))?)
}

/// Reads on-hand and reserved units from `column` and the one behind it.
fn units(row: &Row<'_>, column: usize) -> rusqlite::Result<Units> {
    Ok(Units { on_hand: row.get(column)?, reserved: row.get(column + 1)? })
}
