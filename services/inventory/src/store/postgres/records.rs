//! Reservations as they are kept: found, locked and listed.

use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use trellis_api::id::ReservationId;
use trellis_storage::Tx;
use uuid::Uuid;

use super::sku;
use crate::domain::{Line, Reservation};
use crate::error::Error;
use crate::store::answer::{self, Record};

/// As many reservations as a page has at most.
const PAGE: i64 = 500;
/// As many lines as a page has, give or take one reservation: it bounds the size of a
/// message.
const MOST_LINES: i64 = 10_000;

/// What is kept about a reservation, beside its lines.
#[derive(FromRow)]
pub(super) struct Row {
    pub(super) reservation_id: Uuid,
    state: String,
    fingerprint: Option<Vec<u8>>,
    expire_time: Option<OffsetDateTime>,
    rejected_sku: Option<String>,
    rejected_available: Option<i64>,
}

/// The lines of a reservation, SKU by SKU.
#[derive(FromRow)]
struct LinesRow {
    skus: Vec<String>,
    quantities: Vec<i64>,
}

#[derive(FromRow)]
struct WholeRow {
    #[sqlx(flatten)]
    record: Row,
    #[sqlx(flatten)]
    lines: LinesRow,
}

#[derive(FromRow)]
struct ListedRow {
    reservation_id: Uuid,
    state: String,
    expire_time: Option<OffsetDateTime>,
    #[sqlx(flatten)]
    lines: LinesRow,
}

/// Finds one reservation with its lines, which never change.
macro_rules! whole {
    ($lock:literal) => {
        concat!(
            "
            SELECT reservation_id, state, fingerprint, expire_time, rejected_sku,
                   rejected_available,
                   ARRAY(SELECT sku
                           FROM reservation_lines
                          WHERE reservation_id = $1
                          ORDER BY sku) AS skus,
                   ARRAY(SELECT quantity
                           FROM reservation_lines
                          WHERE reservation_id = $1
                          ORDER BY sku) AS quantities
              FROM reservations
             WHERE reservation_id = $1
            ",
            $lock
        )
    };
}

pub(super) async fn get(mut tx: Tx, reservation_id: ReservationId) -> Result<Reservation, Error> {
    let found = find(&mut tx, whole!(""), reservation_id).await?;
    let (Record { state, expire_time, .. }, lines) = found.ok_or(Error::ReservationNotFound)?;
    Ok(Reservation { reservation_id, state, lines, expire_time })
}

/// From here on, nobody else changes the reservation until the transaction ends.
pub(super) async fn lock(
    tx: &mut PgConnection,
    reservation_id: ReservationId,
) -> Result<Option<(Record, Vec<Line>)>, Error> {
    find(tx, whole!("FOR NO KEY UPDATE"), reservation_id).await
}

async fn find(
    tx: &mut PgConnection,
    query: &'static str,
    reservation_id: ReservationId,
) -> Result<Option<(Record, Vec<Line>)>, Error> {
    let row: Option<WholeRow> =
        sqlx::query_as(query).bind(reservation_id.uuid()).fetch_optional(tx).await?;
    row.map(|row| Ok((row.record.record()?, row.lines.lines()?))).transpose()
}

pub(super) async fn after(
    mut tx: Tx,
    after: Option<ReservationId>,
) -> Result<Vec<Reservation>, Error> {
    let rows: Vec<ListedRow> = sqlx::query_as(
        "
        WITH page AS (
             SELECT reservation_id, state, expire_time,
                    CASE WHEN state IN ('held', 'committed') THEN (
                         SELECT count(*)
                           FROM reservation_lines AS line
                          WHERE line.reservation_id = reservations.reservation_id)
                    ELSE 0 END AS count
               FROM reservations
              WHERE reservation_id > $1
              ORDER BY reservation_id
              LIMIT $2
             ),
             counted AS (
             SELECT *, sum(count) OVER (ORDER BY reservation_id) - count AS before
               FROM page
             )
        SELECT reservation_id, state, expire_time,
               ARRAY(SELECT sku
                       FROM reservation_lines AS line
                      WHERE line.reservation_id = counted.reservation_id
                        AND count > 0
                      ORDER BY sku) AS skus,
               ARRAY(SELECT quantity
                       FROM reservation_lines AS line
                      WHERE line.reservation_id = counted.reservation_id
                        AND count > 0
                      ORDER BY sku) AS quantities
          FROM counted
         WHERE before < $3
         ORDER BY reservation_id
        ",
    )
    // No reservation has the nil id.
    .bind(after.map_or(Uuid::nil(), |id| id.uuid()))
    .bind(PAGE)
    .bind(MOST_LINES)
    .fetch_all(&mut *tx)
    .await?;
    rows.into_iter().map(ListedRow::reservation).collect()
}

impl Row {
    pub(super) fn record(&self) -> Result<Record, Error> {
        let fingerprint = self.fingerprint.as_deref().map(|bytes| {
            bytes.try_into().map_err(|_| Error::Inconsistent("the fingerprint of a reservation"))
        });
        let rejected = match (&self.rejected_sku, self.rejected_available) {
            (Some(text), Some(available)) => Some((sku(text)?, available)),
            _ => None,
        };
        Ok(Record {
            state: answer::state(&self.state)?,
            fingerprint: fingerprint.transpose()?,
            expire_time: self.expire_time,
            rejected,
        })
    }
}

impl LinesRow {
    fn lines(self) -> Result<Vec<Line>, Error> {
        let line = |(text, quantity): (String, i64)| {
            let quantity = i32::try_from(quantity).ok().and_then(|units| units.try_into().ok());
            let quantity = quantity.ok_or(Error::Inconsistent("a quantity"))?;
            Ok(Line { sku: sku(&text)?, quantity })
        };
        self.skus.into_iter().zip(self.quantities).map(line).collect()
    }
}

impl ListedRow {
    fn reservation(self) -> Result<Reservation, Error> {
        Ok(Reservation {
            reservation_id: ReservationId::from_uuid(self.reservation_id),
            state: answer::state(&self.state)?,
            lines: self.lines.lines()?,
            expire_time: self.expire_time,
        })
    }
}
