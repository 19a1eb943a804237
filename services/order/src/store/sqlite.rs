//! The store on SQLite.

mod audit;
mod cancel;
mod carts;
mod checkout;
mod orders;
mod rows;
mod sagas;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use time::OffsetDateTime;
use trellis_api::id::{OrderId, UserId};
use trellis_api::{Quantity, Sku};
use trellis_events::dead_letter::{self, DeadLetters, SqliteDeadLetters};
use trellis_events::inbox::{self, Inbox, SqliteInbox};
use trellis_events::outbox::{self, Outbox, SqliteOutbox};
use trellis_storage::idempotency::Fingerprint;
use trellis_storage::{Error, Migration, Options, Sqlite, idempotency, lease};

use super::checkout::NotBegun;
use super::checks::undelivered;
use super::{
    AuditedOrder, Backlog, Cancel, Cancelling, CartChanged, Check, CheckoutRequest, Ended, Ending,
    Known, Place, Postponement, Store, TurnBack,
};
use crate::domain::{Line, Order};
use crate::saga::{Hold, Lease, Saga};

const MIGRATIONS: &[Migration] = &[
    idempotency::MIGRATION,
    lease::MIGRATION,
    outbox::MIGRATION,
    inbox::MIGRATION,
    dead_letter::MIGRATION,
    Migration { name: "0001_order", sql: include_str!("../../migrations/sqlite/0001_order.sql") },
    Migration { name: "0002_trace", sql: include_str!("../../migrations/sqlite/0002_trace.sql") },
    Migration {
        name: "0003_saga_backlog",
        sql: include_str!("../../migrations/sqlite/0003_saga_backlog.sql"),
    },
    outbox::RECEIPTS,
];

/// Carts, orders and sagas in one file.
#[derive(Debug)]
pub(super) struct SqliteStore {
    database: Sqlite,
    outbox: SqliteOutbox,
}

impl SqliteStore {
    pub(super) fn open(path: &Path, options: &Options) -> Result<Self, Error> {
        let database = Sqlite::open(path, MIGRATIONS, options)?;
        let outbox = SqliteOutbox::new(database.clone());
        Ok(Self { database, outbox })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn cart(&self, user_id: UserId) -> Result<Vec<Line>, Error> {
        self.database.look_up(move |tx| carts::lines(tx, user_id)).await
    }

    async fn set_cart_item(
        &self,
        user_id: UserId,
        sku: Sku,
        quantity: Option<Quantity>,
        now: OffsetDateTime,
    ) -> Result<Option<CartChanged>, Error> {
        self.database.write(move |tx| carts::set(tx, user_id, &sku, quantity, now)).await
    }

    async fn forget_user(
        &self,
        event_id: String,
        user_id: UserId,
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        self.database.write(move |tx| carts::forget(tx, &event_id, user_id, now)).await
    }

    async fn order(&self, user_id: UserId, order_id: OrderId) -> Result<Option<Order>, Error> {
        self.database.look_up(move |tx| orders::find(tx, user_id, order_id)).await
    }

    async fn orders(
        &self,
        user_id: UserId,
        after: Option<Place>,
        limit: u32,
    ) -> Result<Vec<Order>, Error> {
        self.database.read(move |tx| orders::page(tx, user_id, after, limit)).await
    }

    async fn find(&self, request: CheckoutRequest) -> Result<Option<Known>, Error> {
        self.database.look_up(move |tx| checkout::find(tx, &request)).await
    }

    async fn begin(
        &self,
        saga: Saga,
        fingerprint: Fingerprint,
        lease: Lease,
    ) -> Result<Option<Known>, Error> {
        let begun =
            self.database.write(move |tx| checkout::begin(tx, &saga, &fingerprint, lease)).await;
        begun.or_else(NotBegun::known)
    }

    async fn request_cancel(&self, cancel: Cancel) -> Result<Cancelling, Error> {
        self.database.write(move |tx| cancel::request(tx, &cancel)).await
    }

    /// Frees every saga: the file is locked, so whoever had it open before this
    /// process is dead, and waiting for their leases to lapse would only delay
    /// the orders. A store that several processes share could not know that.
    async fn free_orphans(&self) -> Result<usize, Error> {
        self.database.write(sagas::free_all).await
    }

    async fn claim_due(
        &self,
        lease: Lease,
        now: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<Saga>, Error> {
        // Nothing is due nearly always, and a look costs no write.
        if !self.database.read(move |tx| sagas::is_any_due(tx, now)).await? {
            return Ok(Vec::new());
        }
        self.database.write(move |tx| sagas::claim_due(tx, lease, now, limit)).await
    }

    async fn backlog(&self) -> Result<Backlog, Error> {
        self.database.read(sagas::backlog).await
    }

    async fn renew(&self, hold: Hold, until: OffsetDateTime) -> Result<Option<bool>, Error> {
        self.database.write(move |tx| sagas::renew(tx, hold, until)).await
    }

    async fn turn_back(&self, hold: Hold, turn: TurnBack) -> Result<bool, Error> {
        self.database.write(move |tx| sagas::turn_back(tx, hold, &turn)).await
    }

    async fn postpone(&self, hold: Hold, postponement: Postponement) -> Result<bool, Error> {
        self.database.write(move |tx| sagas::postpone(tx, hold, &postponement)).await
    }

    async fn end(&self, hold: Hold, ending: Ending) -> Result<Option<Ended>, Error> {
        let ended = self.database.write(move |tx| checkout::end(tx, hold, &ending)).await?;
        self.outbox.wake();
        Ok(ended)
    }

    async fn purge(&self, before: OffsetDateTime) -> Result<u64, Error> {
        self.database.write(move |tx| idempotency::purge(tx, before)).await
    }

    async fn audit(&self, now: OffsetDateTime) -> Result<Vec<Check>, Error> {
        let mut checks = self.database.read(move |tx| audit::checks(tx, now)).await?;
        checks.push(undelivered(self.outbox.backlog().await?, now));
        Ok(checks)
    }

    async fn audited_orders(&self, after: Option<OrderId>) -> Result<Vec<AuditedOrder>, Error> {
        self.database.read(move |tx| audit::page(tx, after)).await
    }

    fn outboxes(&self) -> Vec<Arc<dyn Outbox>> {
        vec![Arc::new(self.outbox.clone())]
    }

    fn inbox(&self) -> Arc<dyn Inbox> {
        Arc::new(SqliteInbox::new(self.database.clone()))
    }

    fn dead_letters(&self) -> Arc<dyn DeadLetters> {
        Arc::new(SqliteDeadLetters::new(self.database.clone()))
    }
}
