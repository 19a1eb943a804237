//! Reservations, decided many at once.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex as Slot, PoisonError};

use time::OffsetDateTime;
use tokio::sync::{Mutex, MutexGuard};
use trellis_api::Sku;
use trellis_storage::{Tx, from_micros, micros};
use uuid::Uuid;

use super::records::Row;
use crate::domain::Reserve;
use crate::error::Error;
use crate::store::Verdict;
use crate::store::answer::fingerprint;

/// Where the batches of this process wait, so that none overtakes an earlier one that
/// wants the same units. Those of other processes come in between as they come.
#[derive(Default)]
pub(super) struct Turnstile(Mutex<()>);

/// Being the next. It lasts until the batch is decided, and so has the units that it wants
/// locked, but not until the disk has it: meanwhile the next batch is on its way.
pub(super) struct Turn<'t>(Slot<Option<MutexGuard<'t, ()>>>);

impl Turnstile {
    pub(super) async fn turn(&self) -> Turn<'_> {
        Turn(Slot::new(Some(self.0.lock().await)))
    }
}

impl Turn<'_> {
    fn end(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// What the database is asked for: see `reserve_batch` among the migrations.
///
/// An id that is in the batch twice is asked for once, as it is there first.
#[derive(Default)]
pub(super) struct Wanted<'b> {
    ids: Vec<Uuid>,
    fingerprints: Vec<[u8; 32]>,
    expire_times: Vec<OffsetDateTime>,
    skus: Vec<&'b str>,
    numbers: Vec<i32>,
    places: Vec<i32>,
    quantities: Vec<i64>,
}

impl<'b> Wanted<'b> {
    pub(super) fn of(batch: &'b [Reserve], now: OffsetDateTime) -> Self {
        let mut seen = HashSet::with_capacity(batch.len());
        let is_first = |reserve: &&Reserve| seen.insert(reserve.reservation_id);
        let batch: Vec<&Reserve> = batch.iter().filter(is_first).collect();
        let lines = batch.iter().flat_map(|reserve| reserve.lines.iter());
        let skus: BTreeSet<&Sku> = lines.map(|line| &line.sku).collect();
        let places: HashMap<&Sku, i32> = skus.iter().copied().zip(1..).collect();
        let skus = skus.into_iter().map(Sku::as_str).collect();
        let mut wanted = Self { skus, ..Self::default() };
        for (number, reserve) in (1..).zip(batch) {
            wanted.ids.push(reserve.reservation_id.uuid());
            wanted.fingerprints.push(fingerprint(&reserve.lines).0);
            wanted.expire_times.push(from_micros(micros(now + reserve.ttl)));
            for line in reserve.lines.iter() {
                wanted.numbers.push(number);
                wanted.places.push(places[&line.sku]);
                wanted.quantities.push(line.quantity.get().into());
            }
        }
        wanted
    }
}

/// What is kept of the reservations of a batch.
pub(super) struct Kept(HashMap<Uuid, Row>);

impl Kept {
    /// The first answer is what is said to a repetition.
    pub(super) fn verdict(&self, reserve: &Reserve, now: OffsetDateTime) -> Result<Verdict, Error> {
        let row = self.0.get(&reserve.reservation_id.uuid());
        let row =
            row.ok_or(Error::Inconsistent("a reservation that was decided and is not kept"))?;
        Ok(row.record()?.repeat(reserve, now))
    }
}

pub(super) async fn decide(
    mut tx: Tx,
    wanted: &Wanted<'_>,
    now: OffsetDateTime,
    turn: &Turn<'_>,
) -> Result<Kept, Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "
        SELECT reservation_id, state, fingerprint, expire_time, rejected_sku, rejected_available
          FROM reserve_batch($1, $2, $3, $4, $5, $6, $7, $8)
        ",
    )
    .bind(&wanted.ids)
    .bind(&wanted.fingerprints)
    .bind(&wanted.expire_times)
    .bind(&wanted.skus)
    .bind(&wanted.numbers)
    .bind(&wanted.places)
    .bind(&wanted.quantities)
    .bind(now)
    .fetch_all(&mut *tx)
    .await?;
    turn.end();
    Ok(Kept(rows.into_iter().map(|row| (row.reservation_id, row)).collect()))
}
