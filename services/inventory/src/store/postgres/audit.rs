//! Looks for broken invariants.
//!
//! All is read in one snapshot: the ledger's sequence is not the order of its commits, so
//! no later look at it could tell which of its entries belong to the stock that was read.
//! While it is open, old versions of rows pile up, so the ledger is summed up by one query.

use std::collections::BTreeMap;

use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use trellis_api::id::ReservationId;
use trellis_storage::Tx;
use uuid::Uuid;

use crate::domain::{Check, Violation};
use crate::error::Error;
use crate::store::audit::{self, GRACE, MOST_VIOLATIONS, Units, UnitsBySku};

/// Something that breaks an invariant, with two figures of it.
type Broken = (String, i64, i64);

#[derive(FromRow)]
struct UnitsRow {
    sku: String,
    on_hand: i64,
    reserved: i64,
    entries: i64,
}

pub(super) async fn run(mut tx: Tx, now: OffsetDateTime) -> Result<Vec<Check>, Error> {
    let stock = units(&mut tx, "SELECT sku, on_hand, reserved, 1::bigint AS entries FROM stock");
    let (stock, products) = stock.await?;
    let (ledger, entries) = units(
        &mut tx,
        "
        SELECT sku, sum(on_hand_delta)::bigint AS on_hand, sum(reserved_delta)::bigint AS reserved,
               count(*) AS entries
          FROM stock_ledger
         GROUP BY sku
        ",
    )
    .await?;
    Ok(vec![
        oversold(&stock, products),
        held(&mut tx, products).await?,
        overdue(&mut tx, now).await?,
        audit::ledger(&stock, &ledger, entries),
    ])
}

/// The units by SKU, and how many rows they were made of.
async fn units(tx: &mut PgConnection, query: &'static str) -> Result<(UnitsBySku, i64), Error> {
    let rows: Vec<UnitsRow> = sqlx::query_as(query).fetch_all(tx).await?;
    let examined = rows.iter().map(|row| row.entries).sum();
    let units = |row: UnitsRow| (row.sku, Units { on_hand: row.on_hand, reserved: row.reserved });
    Ok((rows.into_iter().map(units).collect::<BTreeMap<_, _>>(), examined))
}

fn oversold(stock: &UnitsBySku, examined: i64) -> Check {
    let violations = stock
        .iter()
        .filter(|(_, units)| !(0..=units.on_hand).contains(&units.reserved))
        .take(MOST_VIOLATIONS.into())
        .map(|(sku, Units { on_hand, reserved })| Violation {
            subject: sku.clone(),
            detail: format!("{on_hand} on hand, {reserved} reserved"),
        })
        .collect();
    Check { invariant: audit::NOT_OVERSOLD, examined, violations }
}

async fn held(tx: &mut PgConnection, examined: i64) -> Result<Check, Error> {
    let broken: Vec<Broken> = sqlx::query_as(
        "
        WITH units (sku, reserved, held) AS (
             SELECT sku, reserved, 0
               FROM stock
              UNION ALL
             SELECT line.sku, 0, line.quantity
               FROM reservations
               JOIN reservation_lines AS line USING (reservation_id)
              WHERE state = 'held'
             )
        SELECT sku, sum(reserved)::bigint, sum(held)::bigint
          FROM units
         GROUP BY sku
        HAVING sum(reserved) <> sum(held)
         ORDER BY sku
         LIMIT $1
        ",
    )
    .bind(i64::from(MOST_VIOLATIONS))
    .fetch_all(tx)
    .await?;
    let violation = |(subject, reserved, held)| Violation {
        subject,
        detail: format!("{reserved} reserved, {held} held"),
    };
    let violations = broken.into_iter().map(violation).collect();
    Ok(Check { invariant: audit::HELD, examined, violations })
}

async fn overdue(tx: &mut PgConnection, now: OffsetDateTime) -> Result<Check, Error> {
    let examined = sqlx::query_scalar("SELECT count(*) FROM reservations WHERE state = 'held'")
        .fetch_one(&mut *tx)
        .await?;
    let broken: Vec<(Uuid, OffsetDateTime)> = sqlx::query_as(
        "
        SELECT reservation_id, expire_time
          FROM reservations
         WHERE state = 'held'
           AND expire_time < $1
         ORDER BY expire_time, reservation_id
         LIMIT $2
        ",
    )
    .bind(now - GRACE)
    .bind(i64::from(MOST_VIOLATIONS))
    .fetch_all(tx)
    .await?;
    let violation = |(id, expire_time): (Uuid, OffsetDateTime)| Violation {
        subject: ReservationId::from_uuid(id).to_string(),
        detail: format!("held {} s too long", (now - expire_time).whole_seconds()),
    };
    let violations = broken.into_iter().map(violation).collect();
    Ok(Check { invariant: audit::IN_TIME, examined, violations })
}
