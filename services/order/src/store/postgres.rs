//! The store in one Postgres database, which many processes share.
//!
//! What an order's row says is decided under its lock: whoever ends its saga takes it, and
//! whoever wishes it cancelled. It is taken before any other, then those of its sagas,
//! then those of the cart by SKU. A cart has no row to lock while it is empty, so there is
//! a lock of its own for it.
//!
//! A happy checkout takes nine round trips: four to [`begin`](Store::begin) and five to
//! [`end`](Store::end), with BEGIN and COMMIT. Before it, [`find`](Store::find) takes two.
//! A connection takes one more for each statement that is new to it.
//!
//! Times are those of the processes, whose clocks must agree to within a part of a lease.
//! The fences keep what is wrong with them harmless, but for a line of a cart: what is put
//! into it by a process whose clock is behind may go with a sale of that moment.

mod audit;
mod cancel;
mod carts;
mod checkout;
mod end;
mod held;
mod orders;
mod rows;
mod sagas;

use std::sync::Arc;

use async_trait::async_trait;
use time::OffsetDateTime;
use trellis_api::id::{Bucket, OrderId, UserId};
use trellis_api::{Quantity, Sku};
use trellis_events::dead_letter::postgres as dead_letter;
use trellis_events::dead_letter::{DeadLetters, PostgresDeadLetters};
use trellis_events::inbox::postgres as inbox;
use trellis_events::inbox::{Inbox, PostgresInbox};
use trellis_events::outbox::postgres as outbox;
use trellis_events::outbox::{Outbox, PostgresOutbox};
use trellis_storage::idempotency::Fingerprint;
use trellis_storage::idempotency::postgres as idempotency;
use trellis_storage::lease::postgres as lease;
use trellis_storage::{Error, Migration, Options, Postgres, PostgresUrl};

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
    outbox::RECEIPTS,
    inbox::MIGRATION,
    dead_letter::MIGRATION,
    Migration { name: "0001_order", sql: include_str!("../../migrations/postgres/0001_order.sql") },
];

/// Carts, orders and sagas in one database.
pub(super) struct PostgresStore {
    database: Postgres,
    outbox: Arc<PostgresOutbox>,
}

impl PostgresStore {
    pub(super) async fn open(url: &PostgresUrl, options: &Options) -> Result<Self, Error> {
        let database = Postgres::open(url, MIGRATIONS, options).await?;
        let outbox = Arc::new(PostgresOutbox::new(database.clone()));
        Ok(Self { database, outbox })
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn cart(&self, user_id: UserId) -> Result<Vec<Line>, Error> {
        self.database.look_up(|mut tx| async move { carts::lines(&mut tx, user_id).await }).await
    }

    async fn set_cart_item(
        &self,
        user_id: UserId,
        sku: Sku,
        quantity: Option<Quantity>,
        now: OffsetDateTime,
    ) -> Result<Option<CartChanged>, Error> {
        self.database.write(|tx| carts::set(tx, user_id, &sku, quantity, now)).await
    }

    async fn forget_user(
        &self,
        event_id: String,
        user_id: UserId,
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        self.database.write(|tx| carts::forget(tx, &event_id, user_id, now)).await
    }

    async fn order(&self, user_id: UserId, order_id: OrderId) -> Result<Option<Order>, Error> {
        self.database.look_up(|tx| orders::find(tx, user_id, order_id)).await
    }

    async fn orders(
        &self,
        user_id: UserId,
        after: Option<Place>,
        limit: u32,
    ) -> Result<Vec<Order>, Error> {
        self.database.look_up(|tx| orders::page(tx, user_id, after, limit)).await
    }

    async fn find(&self, request: CheckoutRequest) -> Result<Option<Known>, Error> {
        checkout::find(&self.database, &request).await
    }

    async fn begin(
        &self,
        saga: Saga,
        fingerprint: Fingerprint,
        lease: Lease,
    ) -> Result<Option<Known>, Error> {
        let begun = self.database.write(|tx| checkout::begin(tx, &saga, &fingerprint, lease)).await;
        begun.or_else(NotBegun::known)
    }

    async fn request_cancel(&self, cancel: Cancel) -> Result<Cancelling, Error> {
        self.database.write(|tx| cancel::request(tx, &cancel)).await
    }

    /// Frees none: the processes that hold sagas may well be running.
    async fn free_orphans(&self) -> Result<usize, Error> {
        Ok(0)
    }

    async fn claim_due(
        &self,
        lease: Lease,
        now: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<Saga>, Error> {
        // Nothing is due nearly always, and a look is one round trip in place of three.
        if !self.database.look_up(|tx| sagas::is_any_due(tx, now)).await? {
            return Ok(Vec::new());
        }
        self.database.write(|tx| sagas::claim_due(tx, lease, now, limit)).await
    }

    async fn backlog(&self) -> Result<Backlog, Error> {
        self.database.look_up(sagas::backlog).await
    }

    async fn renew(&self, hold: Hold, until: OffsetDateTime) -> Result<Option<bool>, Error> {
        self.database.write(|tx| held::renew(tx, hold, until)).await
    }

    async fn turn_back(&self, hold: Hold, turn: TurnBack) -> Result<bool, Error> {
        self.database.write(|tx| held::turn_back(tx, hold, &turn)).await
    }

    async fn postpone(&self, hold: Hold, postponement: Postponement) -> Result<bool, Error> {
        self.database.write(|tx| held::postpone(tx, hold, &postponement)).await
    }

    async fn end(&self, hold: Hold, ending: Ending) -> Result<Option<Ended>, Error> {
        let ended = self.database.write(|tx| end::end(tx, hold, &ending)).await?;
        self.outbox.wake();
        Ok(ended)
    }

    async fn purge(&self, before: OffsetDateTime) -> Result<u64, Error> {
        self.database.write(|mut tx| async move { idempotency::purge(&mut tx, before).await }).await
    }

    async fn audit(&self, now: OffsetDateTime) -> Result<Vec<Check>, Error> {
        let mut checks = self.database.read(|tx| audit::checks(tx, now)).await?;
        checks.push(undelivered(self.outbox.backlog().await?, now));
        Ok(checks)
    }

    async fn audited_orders(&self, after: Option<OrderId>) -> Result<Vec<AuditedOrder>, Error> {
        self.database.look_up(|tx| audit::page(tx, after)).await
    }

    fn outbox(&self) -> Arc<dyn Outbox> {
        self.outbox.clone()
    }

    fn inbox(&self) -> Arc<dyn Inbox> {
        Arc::new(PostgresInbox::new(self.database.clone()))
    }

    fn dead_letters(&self) -> Arc<dyn DeadLetters> {
        Arc::new(PostgresDeadLetters::new(self.database.clone()))
    }
}

/// As the columns have it. The ids of an order and of its customer have the same one.
fn number(bucket: Bucket) -> i16 {
    bucket.get().cast_signed()
}

/// What others have said, as far as Postgres can keep it: no text of its has a NUL.
fn text(said: &str) -> String {
    said.replace('\0', "")
}
