//! Where the inventory is kept.
//!
//! Each method is a whole unit of work, durable when it answers. Callers never
//! see a transaction, so they cannot hold one open across a network call.
//! Whatever the order of calls: no unit is held twice, every movement of units
//! has its ledger entry, and the first answer about an id is the only one.

mod answer;
mod audit;
mod postgres;
mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;
use time::OffsetDateTime;
use trellis_api::Sku;
use trellis_api::id::ReservationId;
use trellis_storage::{Options, ShardsProblem, Sqlite, Url};

use crate::domain::{
    Adjustment, Check, Found, Import, Product, Rank, Reservation, Reserve, Stock, StockedProduct,
    Upserted, Words,
};
use crate::error::Error;

/// What [`Store::reserve_batch`] says about one reservation.
pub type Verdict = Result<Reservation, Error>;

/// The catalogue, the stock and its reservations.
#[async_trait]
pub trait Store: Send + Sync {
    /// Products by SKU, from the first one after `after`.
    async fn products_after(&self, after: Option<Sku>, limit: u32) -> Result<Vec<Product>, Error>;

    /// Products that have all of `words`, best first, from the first one after
    /// `after`. The order stands as long as the catalogue does.
    async fn search(
        &self,
        words: Words,
        after: Option<(Rank, Sku)>,
        limit: u32,
    ) -> Result<Vec<Found>, Error>;

    /// The products that exist among `skus`, in that order, with their stock.
    async fn products(&self, skus: Vec<Sku>) -> Result<Vec<StockedProduct>, Error>;

    /// Adds products or changes those that exist; all or none. The SKUs differ.
    async fn upsert_products(
        &self,
        imports: Vec<Import>,
        now: OffsetDateTime,
    ) -> Result<Upserted, Error>;

    /// Adds or takes units, once for each request id.
    async fn adjust_stock(
        &self,
        adjustment: Adjustment,
        now: OffsetDateTime,
    ) -> Result<Stock, Error>;

    /// Decides reservations in their order, one verdict each.
    ///
    /// A reservation holds all of its lines or none. One that is refused leaves
    /// the others as they are; only a failing store fails them together.
    async fn reserve_batch(
        &self,
        batch: Vec<Reserve>,
        now: OffsetDateTime,
    ) -> Result<Vec<Verdict>, Error>;

    /// Sells what is held, unless it has lapsed.
    async fn commit(
        &self,
        reservation_id: ReservationId,
        now: OffsetDateTime,
    ) -> Result<Reservation, Error>;

    /// Gives back what is held, or makes sure that it never will be.
    async fn release(
        &self,
        reservation_id: ReservationId,
        now: OffsetDateTime,
    ) -> Result<Reservation, Error>;

    /// Puts back what was sold.
    async fn restock(
        &self,
        reservation_id: ReservationId,
        now: OffsetDateTime,
    ) -> Result<Reservation, Error>;

    /// A reservation as it is.
    async fn reservation(&self, reservation_id: ReservationId) -> Result<Reservation, Error>;

    /// Gives back what has lapsed, oldest first, and says how many reservations
    /// that were: no more than `limit`, fewer when they are large, and 0 only when
    /// none is left.
    async fn expire(&self, limit: u32, now: OffsetDateTime) -> Result<u32, Error>;

    /// Looks for broken invariants.
    async fn audit(&self, now: OffsetDateTime) -> Result<Vec<Check>, Error>;

    /// A page of reservations by id, from the first one after `after`, with the
    /// lines of those that are held or committed. Empty only behind the last one.
    async fn reservations_after(
        &self,
        after: Option<ReservationId>,
    ) -> Result<Vec<Reservation>, Error>;

    /// Forgets adjustments made before `before`, and says how many: when it is
    /// not 0 there may be more.
    async fn purge_requests(&self, before: OffsetDateTime) -> Result<u64, Error>;
}

/// Opens the store at `database`, and brings its schema up to date. With a file, it blocks.
pub async fn open(database: &Url, options: &Options) -> anyhow::Result<Arc<dyn Store>> {
    match database {
        Url::Sqlite(path) => {
            let database = Sqlite::open(path, sqlite::MIGRATIONS, options)?;
            Ok(Arc::new(sqlite::SqliteStore::new(database)))
        }
        Url::Postgres(url) => Ok(Arc::new(postgres::PostgresStore::open(url, options).await?)),
        Url::Shards(_) => {
            Err(trellis_storage::Error::from(ShardsProblem::One { service: "inventory" }).into())
        }
    }
}
