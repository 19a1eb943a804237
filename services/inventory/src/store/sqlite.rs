//! The inventory in one SQLite file.
//!
//! The number of statements of a checkout does not depend on the number of its
//! lines: lines go in as JSON, and stock and ledger are written from them by
//! one statement each. A reserve is 6 statements (look-up, shortage,
//! reservation, lines, stock, ledger), a commit 5 (look-up, state, stock,
//! ledger, the answer's lines).

mod audit;
mod catalogue;
mod records;
mod reservations;
mod stock;

use async_trait::async_trait;
use rusqlite::Row;
use time::OffsetDateTime;
use trellis_api::Sku;
use trellis_api::id::ReservationId;
use trellis_storage::{Migration, Sqlite, idempotency};

use crate::domain::{
    Adjustment, Check, Found, Import, Product, Rank, Reservation, Reserve, State, Stock,
    StockedProduct, Upserted, Words,
};
use crate::error::Error;
use crate::store::{Store, Verdict};

/// How many products are a look-up, at some 2 microseconds each.
const FEW: usize = 32;

pub(super) const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "inventory_0001",
        sql: include_str!("../../migrations/sqlite/0001_inventory.sql"),
    },
    idempotency::MIGRATION,
];

pub(super) struct SqliteStore {
    database: Sqlite,
}

impl SqliteStore {
    pub(super) fn new(database: Sqlite) -> Self {
        Self { database }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn products_after(&self, after: Option<Sku>, limit: u32) -> Result<Vec<Product>, Error> {
        self.database.read(move |tx| catalogue::after(tx, after.as_ref(), limit)).await
    }

    async fn search(
        &self,
        words: Words,
        after: Option<(Rank, Sku)>,
        limit: u32,
    ) -> Result<Vec<Found>, Error> {
        self.database.read(move |tx| catalogue::search(tx, &words, after.as_ref(), limit)).await
    }

    async fn products(&self, skus: Vec<Sku>) -> Result<Vec<StockedProduct>, Error> {
        if skus.len() <= FEW {
            return self.database.look_up(move |tx| catalogue::find(tx, &skus)).await;
        }
        self.database.read(move |tx| catalogue::find(tx, &skus)).await
    }

    async fn upsert_products(
        &self,
        imports: Vec<Import>,
        now: OffsetDateTime,
    ) -> Result<Upserted, Error> {
        self.database.write(move |tx| catalogue::upsert(tx, &imports, now)).await
    }

    async fn adjust_stock(
        &self,
        adjustment: Adjustment,
        now: OffsetDateTime,
    ) -> Result<Stock, Error> {
        // A refusal is an answer too, and stays: the unit of work succeeds.
        self.database.write(move |tx| stock::adjust(tx, &adjustment, now)).await?
    }

    async fn reserve_batch(
        &self,
        batch: Vec<Reserve>,
        now: OffsetDateTime,
    ) -> Result<Vec<Verdict>, Error> {
        self.database
            .write(move |tx| {
                batch.iter().map(|reserve| reservations::reserve(tx, reserve, now)).collect()
            })
            .await
    }

    async fn commit(
        &self,
        reservation_id: ReservationId,
        now: OffsetDateTime,
    ) -> Result<Reservation, Error> {
        self.database
            .write(move |tx| reservations::step(tx, reservation_id, now, State::commit))
            .await
    }

    async fn release(
        &self,
        reservation_id: ReservationId,
        now: OffsetDateTime,
    ) -> Result<Reservation, Error> {
        self.database.write(move |tx| reservations::release(tx, reservation_id, now)).await
    }

    async fn restock(
        &self,
        reservation_id: ReservationId,
        now: OffsetDateTime,
    ) -> Result<Reservation, Error> {
        self.database
            .write(move |tx| {
                reservations::step(tx, reservation_id, now, |state, _| state.restock())
            })
            .await
    }

    async fn reservation(&self, reservation_id: ReservationId) -> Result<Reservation, Error> {
        self.database.read(move |tx| records::get(tx, reservation_id)).await
    }

    async fn expire(&self, limit: u32, now: OffsetDateTime) -> Result<u32, Error> {
        self.database.write(move |tx| reservations::expire(tx, limit, now)).await
    }

    async fn audit(&self, now: OffsetDateTime) -> Result<Vec<Check>, Error> {
        audit::run(&self.database, now).await
    }

    async fn reservations_after(
        &self,
        after: Option<ReservationId>,
    ) -> Result<Vec<Reservation>, Error> {
        self.database.read(move |tx| records::after(tx, after)).await
    }

    async fn purge_requests(&self, before: OffsetDateTime) -> Result<u64, Error> {
        self.database.write(move |tx| Ok(idempotency::purge(tx, before)?)).await
    }
}

fn sku(row: &Row<'_>, column: usize) -> Result<Sku, Error> {
    let text = row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?;
    text.parse().map_err(|_| Error::Inconsistent("a SKU"))
}
