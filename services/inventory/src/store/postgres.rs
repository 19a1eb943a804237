//! The inventory in one Postgres database.
//!
//! Many units of work run at once here, of this process and of others. Who moves units
//! locks first the reservation, if there is one, and then the stock, by SKU ascending; an
//! import locks products and stock, by SKU ascending too. So nobody waits in a circle.
//!
//! A reserve of many reservations is one call of a function in the database, and a
//! commit, a release or a restock two: a look at the reservation, which locks it, and the
//! movement of its units.

mod audit;
mod catalogue;
mod import;
mod records;
mod reservations;
mod reserve;
mod stock;
mod words;

use async_trait::async_trait;
use time::OffsetDateTime;
use trellis_api::Sku;
use trellis_api::id::ReservationId;
use trellis_storage::idempotency::postgres as idempotency;
use trellis_storage::{self as storage, Freshness, Migration, Options, Postgres, PostgresUrl, Tx};

use self::reserve::{Turnstile, Wanted};
use crate::domain::{
    Adjustment, Check, Found, Import, Product, Rank, Reservation, Reserve, State, Stock,
    StockedProduct, Upserted, Words,
};
use crate::error::Error;
use crate::store::{Store, Verdict};

const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "inventory_0001",
        sql: include_str!("../../migrations/postgres/0001_inventory.sql"),
    },
    Migration {
        name: "inventory_0002_reserve_batch",
        sql: include_str!("../../migrations/postgres/0002_reserve_batch.sql"),
    },
    Migration {
        name: "inventory_0003_move_units",
        sql: include_str!("../../migrations/postgres/0003_move_units.sql"),
    },
    Migration {
        name: "inventory_0004_steady_plans",
        sql: include_str!("../../migrations/postgres/0004_steady_plans.sql"),
    },
    idempotency::MIGRATION,
];

pub(super) struct PostgresStore {
    database: Postgres,
    turnstile: Turnstile,
}

impl PostgresStore {
    pub(super) async fn open(url: &PostgresUrl, options: &Options) -> Result<Self, storage::Error> {
        let database = Postgres::open(url, MIGRATIONS, options).await?;
        Ok(Self { database, turnstile: Turnstile::default() })
    }

    /// Looks up what is shown and decides nothing: a replica will do that has what the
    /// caller did.
    async fn seen<T, F>(&self, query: impl Fn(Tx) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.database.look_up_at(Freshness::Session, query).await
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn products_after(&self, after: Option<Sku>, limit: u32) -> Result<Vec<Product>, Error> {
        self.seen(|tx| catalogue::after(tx, after.as_ref(), limit)).await
    }

    async fn search(
        &self,
        words: Words,
        after: Option<(Rank, Sku)>,
        limit: u32,
    ) -> Result<Vec<Found>, Error> {
        let Some(query) = words::query(&words) else { return Ok(Vec::new()) };
        self.seen(|tx| catalogue::search(tx, &query, after.as_ref(), limit)).await
    }

    async fn products(&self, skus: Vec<Sku>) -> Result<Vec<StockedProduct>, Error> {
        self.seen(|tx| catalogue::find(tx, &skus)).await
    }

    async fn upsert_products(
        &self,
        imports: Vec<Import>,
        now: OffsetDateTime,
    ) -> Result<Upserted, Error> {
        self.database.write(|tx| import::upsert(tx, &imports, now)).await
    }

    async fn adjust_stock(
        &self,
        adjustment: Adjustment,
        now: OffsetDateTime,
    ) -> Result<Stock, Error> {
        // A refusal is an answer too, and stays: the unit of work succeeds.
        self.database.write(|tx| stock::adjust(tx, &adjustment, now)).await?
    }

    async fn reserve_batch(
        &self,
        batch: Vec<Reserve>,
        now: OffsetDateTime,
    ) -> Result<Vec<Verdict>, Error> {
        let wanted = Wanted::of(&batch, now);
        let turn = self.turnstile.turn().await;
        let kept = self.database.write(|tx| reserve::decide(tx, &wanted, now, &turn)).await?;
        batch.iter().map(|reserve| kept.verdict(reserve, now)).collect()
    }

    async fn commit(
        &self,
        reservation_id: ReservationId,
        now: OffsetDateTime,
    ) -> Result<Reservation, Error> {
        self.database.write(|tx| reservations::step(tx, reservation_id, now, State::commit)).await
    }

    async fn release(
        &self,
        reservation_id: ReservationId,
        now: OffsetDateTime,
    ) -> Result<Reservation, Error> {
        self.database.write(|tx| reservations::release(tx, reservation_id, now)).await
    }

    async fn restock(
        &self,
        reservation_id: ReservationId,
        now: OffsetDateTime,
    ) -> Result<Reservation, Error> {
        self.database
            .write(|tx| reservations::step(tx, reservation_id, now, |state, _| state.restock()))
            .await
    }

    async fn reservation(&self, reservation_id: ReservationId) -> Result<Reservation, Error> {
        self.database.look_up(|tx| records::get(tx, reservation_id)).await
    }

    async fn expire(&self, limit: u32, now: OffsetDateTime) -> Result<u32, Error> {
        self.database.write(|tx| reservations::expire(tx, limit, now)).await
    }

    async fn audit(&self, now: OffsetDateTime) -> Result<Vec<Check>, Error> {
        self.database.read(|tx| audit::run(tx, now)).await
    }

    async fn reservations_after(
        &self,
        after: Option<ReservationId>,
    ) -> Result<Vec<Reservation>, Error> {
        self.database.look_up(|tx| records::after(tx, after)).await
    }

    async fn purge_requests(&self, before: OffsetDateTime) -> Result<u64, Error> {
        self.database.write(|tx| purge(tx, before)).await
    }
}

async fn purge(mut tx: Tx, before: OffsetDateTime) -> Result<u64, Error> {
    Ok(idempotency::purge(&mut tx, before).await?)
}

fn sku(text: &str) -> Result<Sku, Error> {
    text.parse().map_err(|_| Error::Inconsistent("a SKU"))
}
