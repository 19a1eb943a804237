//! Adds up payments and ledger, in one snapshot.

use rusqlite::Connection;
use trellis_api::id::PaymentId;

use super::rows::parse;
use crate::domain::EntryKind;
use crate::error::Error;
use crate::store::{Books, Sums};

pub(super) fn add_up(db: &Connection) -> Result<Books, Error> {
    let (payments, entries, captured) = db.query_row(
        "SELECT
            (SELECT COUNT(*) FROM payments),
            (SELECT COUNT(*) FROM ledger_entries),
            (SELECT COUNT(*) FROM payments WHERE state IN ('captured', 'refunded'))",
        [],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    Ok(Books {
        payments,
        entries,
        captured,
        repeated: repeated(db)?,
        unbalanced: unbalanced(db)?,
        unrecorded: unrecorded(db)?,
        sums: sums(db)?,
    })
}

fn repeated(db: &Connection) -> Result<Vec<(PaymentId, EntryKind, i64)>, Error> {
    entries(
        db,
        "SELECT payment_id, kind, COUNT(*) FROM ledger_entries
         GROUP BY payment_id, kind HAVING COUNT(*) > 1 LIMIT 100",
    )
}

/// An entry in two currencies balances in neither.
fn unbalanced(db: &Connection) -> Result<Vec<(PaymentId, EntryKind, i64)>, Error> {
    entries(
        db,
        "SELECT payment_id, kind, COALESCE(SUM(minor_units), 0)
           FROM ledger_entries LEFT JOIN ledger_postings USING (entry_id)
          GROUP BY entry_id, currency
         HAVING COALESCE(SUM(minor_units), 0) <> 0 OR COUNT(minor_units) < 2
          LIMIT 100",
    )
}

fn entries(db: &Connection, query: &str) -> Result<Vec<(PaymentId, EntryKind, i64)>, Error> {
    let mut statement = db.prepare(query)?;
    let entries =
        statement.query_map([], |row| Ok((parse(row, 0)?, parse(row, 1)?, row.get(2)?)))?;
    Ok(entries.collect::<Result<_, _>>()?)
}

/// A captured payment has a capture of its amount and no refund, a refunded one
/// has both, and any other has neither.
fn unrecorded(db: &Connection) -> Result<Vec<PaymentId>, Error> {
    let mut statement = db.prepare(
        "WITH moved AS (
            SELECT payment_id, kind, SUM(minor_units) AS minor_units, MIN(currency) AS currency
              FROM ledger_entries JOIN ledger_postings USING (entry_id)
             WHERE minor_units > 0
             GROUP BY payment_id, kind
         )
         SELECT p.payment_id
           FROM payments p
           LEFT JOIN moved c ON c.payment_id = p.payment_id AND c.kind = 'capture'
           LEFT JOIN moved r ON r.payment_id = p.payment_id AND r.kind = 'refund'
          WHERE c.minor_units IS NOT IIF(p.state IN ('captured', 'refunded'), p.minor_units, NULL)
             OR r.minor_units IS NOT IIF(p.state = 'refunded', p.minor_units, NULL)
             OR c.currency <> p.currency
             OR r.currency <> p.currency
          LIMIT 100",
    )?;
    let payments = statement.query_map([], |row| parse(row, 0))?;
    Ok(payments.collect::<Result<_, _>>()?)
}

fn sums(db: &Connection) -> Result<Vec<Sums>, Error> {
    let mut statement = db.prepare(
        "WITH
         paid AS (
            SELECT currency,
                   SUM(minor_units) FILTER (WHERE state <> 'declined') AS authorized,
                   SUM(minor_units) FILTER (
                       WHERE state IN ('authorizing', 'authorized', 'voiding')
                   ) AS pending,
                   SUM(minor_units) FILTER (WHERE state = 'voided') AS voided,
                   SUM(minor_units) FILTER (WHERE state = 'captured') AS kept
              FROM payments WHERE currency IS NOT NULL GROUP BY currency
         ),
         moved AS (
            SELECT currency,
                   SUM(minor_units) FILTER (WHERE kind = 'capture' AND minor_units > 0) AS captured,
                   SUM(minor_units) FILTER (WHERE kind = 'refund' AND minor_units > 0) AS refunded,
                   SUM(minor_units) AS balance
              FROM ledger_entries JOIN ledger_postings USING (entry_id) GROUP BY currency
         )
         SELECT currency, COALESCE(authorized, 0), COALESCE(pending, 0), COALESCE(voided, 0),
                COALESCE(kept, 0), COALESCE(captured, 0), COALESCE(refunded, 0),
                COALESCE(balance, 0)
           FROM paid FULL JOIN moved USING (currency)
          ORDER BY currency",
    )?;
    let sums = statement.query_map([], |row| {
        Ok(Sums {
            currency: parse(row, 0)?,
            authorized: row.get(1)?,
            pending: row.get(2)?,
            voided: row.get(3)?,
            kept: row.get(4)?,
            captured: row.get(5)?,
            refunded: row.get(6)?,
            balance: row.get(7)?,
        })
    })?;
    Ok(sums.collect::<Result<_, _>>()?)
}
