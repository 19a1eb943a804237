//! Reservations, ended one by one or by the clock.

use sqlx::PgConnection;
use time::OffsetDateTime;
use trellis_api::id::ReservationId;
use trellis_storage::Tx;
use uuid::Uuid;

use super::{records, stock};
use crate::domain::{Line, Movement, Refusal, Reservation, State, Step};
use crate::error::Error;
use crate::store::answer::Record;

/// As many lines as one expiry moves, give or take one reservation: it bounds how long
/// their stock is locked.
const MOST_LINES: i64 = 10_000;

/// Finds what has lapsed, oldest first.
///
/// Locking comes before counting, since a row that was waited for may have changed.
macro_rules! due {
    ($wait:literal) => {
        concat!(
            "
            WITH due AS (
                 SELECT reservation_id, expire_time
                   FROM reservations
                  WHERE state = 'held'
                    AND expire_time <= $1
                  ORDER BY expire_time, reservation_id
                  LIMIT $2
                    FOR NO KEY UPDATE
            ",
            $wait,
            "
                 ),
                 counted AS (
                 SELECT reservation_id, expire_time, count,
                        sum(count) OVER (ORDER BY expire_time, reservation_id) - count AS before
                   FROM due, LATERAL (
                        SELECT count(*)
                          FROM reservation_lines AS line
                         WHERE line.reservation_id = due.reservation_id) AS lines
                 )
            SELECT reservation_id
              FROM counted
             WHERE before < $3
            "
        )
    };
}

/// Takes the step that `decide` allows, if it was not taken before.
pub(super) async fn step(
    mut tx: Tx,
    reservation_id: ReservationId,
    now: OffsetDateTime,
    decide: impl Fn(State, bool) -> Result<Step, Refusal>,
) -> Result<Reservation, Error> {
    let kept = records::lock(&mut tx, reservation_id).await?;
    let kept = kept.ok_or(Error::ReservationNotFound)?;
    take(&mut tx, reservation_id, kept, now, decide).await
}

/// Leaves a tombstone when there is nothing to release, so that a reserve that
/// is still on its way is refused.
pub(super) async fn release(
    mut tx: Tx,
    reservation_id: ReservationId,
    now: OffsetDateTime,
) -> Result<Reservation, Error> {
    let mut kept = records::lock(&mut tx, reservation_id).await?;
    if kept.is_none() {
        if bury(&mut tx, reservation_id, now).await? {
            let (state, lines) = (State::Released, Vec::new());
            return Ok(Reservation { reservation_id, state, lines, expire_time: None });
        }
        // The reserve, or another release, has come in between.
        kept = records::lock(&mut tx, reservation_id).await?;
    }
    let kept = kept.ok_or(Error::Inconsistent("a reservation that was there and is not"))?;
    take(&mut tx, reservation_id, kept, now, |state, _| state.release()).await
}

/// Others may be at the first that are due, such as the sweeper of another process: so
/// those that are free go first, and only when there is none are the others waited for.
pub(super) async fn expire(mut tx: Tx, limit: u32, now: OffsetDateTime) -> Result<u32, Error> {
    let mut due = lapsed(&mut tx, due!("SKIP LOCKED"), limit, now).await?;
    if due.is_empty() {
        due = lapsed(&mut tx, due!(""), limit, now).await?;
    }
    stock::move_reserved(&mut tx, &due, State::Held, Movement::Expire, now).await?;
    Ok(u32::try_from(due.len()).unwrap_or(limit))
}

async fn lapsed(
    tx: &mut PgConnection,
    query: &'static str,
    limit: u32,
    now: OffsetDateTime,
) -> Result<Vec<Uuid>, Error> {
    let due = sqlx::query_scalar(query).bind(now).bind(i64::from(limit)).bind(MOST_LINES);
    Ok(due.fetch_all(tx).await?)
}

async fn take(
    tx: &mut PgConnection,
    reservation_id: ReservationId,
    (record, lines): (Record, Vec<Line>),
    now: OffsetDateTime,
    decide: impl Fn(State, bool) -> Result<Step, Refusal>,
) -> Result<Reservation, Error> {
    let from = record.state;
    let state = match decide(from, record.lapsed(now))? {
        Step::Take(movement) => {
            stock::move_reserved(tx, &[reservation_id.uuid()], from, movement, now).await?
        }
        Step::Done => from,
    };
    Ok(Reservation { reservation_id, state, lines, expire_time: record.expire_time })
}

/// Whether nothing was there. Waits for whoever is about to keep something under this id.
async fn bury(
    tx: &mut PgConnection,
    reservation_id: ReservationId,
    now: OffsetDateTime,
) -> Result<bool, Error> {
    let buried = sqlx::query(
        "
        INSERT INTO reservations (reservation_id, state, create_time, update_time)
        VALUES ($1, 'released', $2, $2)
            ON CONFLICT (reservation_id) DO NOTHING
        ",
    )
    .bind(reservation_id.uuid())
    .bind(now)
    .execute(tx)
    .await?;
    Ok(buried.rows_affected() == 1)
}
