//! The store in Postgres, which many processes share: one database, or several that share
//! the customers by bucket.
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
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use time::OffsetDateTime;
use trellis_api::id::{Bucket, OrderId, UserId};
use trellis_api::{Quantity, Sku};
use trellis_events::dead_letter::postgres as dead_letter;
use trellis_events::dead_letter::{DeadLetters, PostgresDeadLetters};
use trellis_events::inbox::postgres as inbox;
use trellis_events::inbox::{Inbox, ShardedInbox};
use trellis_events::outbox::{self, Outbox, PostgresOutbox};
use trellis_storage::idempotency::Fingerprint;
use trellis_storage::idempotency::postgres as idempotency;
use trellis_storage::lease::postgres as lease;
use trellis_storage::shards::{self, mover::Tables};
use trellis_storage::{Error, Freshness, Migration, Options, Postgres, PostgresUrl, Shards, Tx};

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
    outbox::postgres::MIGRATION,
    outbox::postgres::RECEIPTS,
    inbox::MIGRATION,
    dead_letter::MIGRATION,
    Migration { name: "0001_order", sql: include_str!("../../migrations/postgres/0001_order.sql") },
    shards::MIGRATION,
];

/// What moves with a bucket. Events do not: whoever has them tells of them.
pub(super) const TABLES: Tables = &["idempotency", "inbox", "carts", "orders", "sagas", "saga_log"];

/// Carts, orders and sagas.
pub(super) struct PostgresStore {
    shards: Shards,
    /// One of each shard.
    outboxes: Vec<Arc<PostgresOutbox>>,
    /// Which shard is asked first for sagas that are due, so that none waits for ever
    /// behind another's.
    first: AtomicUsize,
}

impl PostgresStore {
    pub(super) async fn open(urls: &[PostgresUrl], options: &Options) -> Result<Self, Error> {
        let shards = open(urls, options).await?;
        let outbox = |shard: &Postgres| Arc::new(PostgresOutbox::new(shard.clone()));
        let outboxes = shards.each().iter().map(outbox).collect();
        Ok(Self { shards, outboxes, first: AtomicUsize::default() })
    }

    /// Writes as whoever holds a saga.
    async fn held<T, F>(&self, hold: Hold, unit: impl Fn(Tx) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.shards.write(hold.order_id.bucket(), unit).await
    }
}

pub(super) async fn open(urls: &[PostgresUrl], options: &Options) -> Result<Shards, Error> {
    Shards::open(urls, MIGRATIONS, options).await
}

#[async_trait]
impl Store for PostgresStore {
    async fn cart(&self, user_id: UserId) -> Result<Vec<Line>, Error> {
        let lines = |mut tx: Tx| async move { carts::lines(&mut tx, user_id).await };
        self.shards.look_up_at(user_id.bucket(), Freshness::Session, lines).await
    }

    async fn set_cart_item(
        &self,
        user_id: UserId,
        sku: Sku,
        quantity: Option<Quantity>,
        now: OffsetDateTime,
    ) -> Result<Option<CartChanged>, Error> {
        self.shards.write(user_id.bucket(), |tx| carts::set(tx, user_id, &sku, quantity, now)).await
    }

    async fn forget_user(
        &self,
        event_id: String,
        user_id: UserId,
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        self.shards.write(user_id.bucket(), |tx| carts::forget(tx, &event_id, user_id, now)).await
    }

    async fn order(&self, user_id: UserId, order_id: OrderId) -> Result<Option<Order>, Error> {
        self.shards.look_up(user_id.bucket(), |tx| orders::find(tx, user_id, order_id)).await
    }

    async fn orders(
        &self,
        user_id: UserId,
        after: Option<Place>,
        limit: u32,
    ) -> Result<Vec<Order>, Error> {
        let page = |tx| orders::page(tx, user_id, after, limit);
        self.shards.look_up_at(user_id.bucket(), Freshness::Session, page).await
    }

    async fn find(&self, request: CheckoutRequest) -> Result<Option<Known>, Error> {
        checkout::find(&self.shards, &request).await
    }

    async fn begin(
        &self,
        saga: Saga,
        fingerprint: Fingerprint,
        lease: Lease,
    ) -> Result<Option<Known>, Error> {
        let unit = |tx| checkout::begin(tx, &saga, &fingerprint, lease);
        let begun = self.shards.write(saga.order.order_id.bucket(), unit).await;
        begun.or_else(NotBegun::known)
    }

    async fn request_cancel(&self, cancel: Cancel) -> Result<Cancelling, Error> {
        self.shards.write(cancel.order_id.bucket(), |tx| cancel::request(tx, &cancel)).await
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
        let mut claimed = Vec::new();
        let shards = self.shards.each();
        let first = self.first.fetch_add(1, Ordering::Relaxed);
        for shard in shards.iter().cycle().skip(first % shards.len()).take(shards.len()) {
            let left = limit - u32::try_from(claimed.len()).unwrap_or(limit).min(limit);
            // Nothing is due nearly always, and a look is one round trip in place of three.
            if left == 0 || !shard.look_up(|tx| sagas::is_any_due(tx, now)).await? {
                continue;
            }
            let unit = |tx| sagas::claim_due(tx, lease, now, left);
            claimed.extend(Shards::sweep(shard, unit).await?);
        }
        Ok(claimed)
    }

    async fn backlog(&self) -> Result<Backlog, Error> {
        let mut sum = Backlog::default();
        for shard in self.shards.each() {
            sum = sum.and(shard.look_up(sagas::backlog).await?);
        }
        Ok(sum)
    }

    async fn renew(&self, hold: Hold, until: OffsetDateTime) -> Result<Option<bool>, Error> {
        self.held(hold, |tx| held::renew(tx, hold, until)).await
    }

    async fn turn_back(&self, hold: Hold, turn: TurnBack) -> Result<bool, Error> {
        self.held(hold, |tx| held::turn_back(tx, hold, &turn)).await
    }

    async fn postpone(&self, hold: Hold, postponement: Postponement) -> Result<bool, Error> {
        self.held(hold, |tx| held::postpone(tx, hold, &postponement)).await
    }

    async fn end(&self, hold: Hold, ending: Ending) -> Result<Option<Ended>, Error> {
        let ended = self.held(hold, |tx| end::end(tx, hold, &ending)).await?;
        self.outboxes.iter().for_each(|outbox| outbox.wake());
        Ok(ended)
    }

    async fn purge(&self, before: OffsetDateTime) -> Result<u64, Error> {
        let mut purged = 0;
        for shard in self.shards.each() {
            let unit = |mut tx: Tx| async move { idempotency::sweep(&mut tx, before).await };
            purged += Shards::sweep(shard, unit).await?;
        }
        Ok(purged)
    }

    async fn audit(&self, now: OffsetDateTime) -> Result<Vec<Check>, Error> {
        let mut checks = audit::run(&self.shards, now).await?;
        let mut sum = outbox::Backlog::default();
        for outbox in &self.outboxes {
            sum = sum.and(outbox.backlog().await?);
        }
        checks.push(undelivered(sum, now));
        Ok(checks)
    }

    async fn audited_orders(&self, after: Option<OrderId>) -> Result<Vec<AuditedOrder>, Error> {
        audit::orders(&self.shards, after).await
    }

    fn outboxes(&self) -> Vec<Arc<dyn Outbox>> {
        self.outboxes.iter().map(|outbox| Arc::clone(outbox) as Arc<dyn Outbox>).collect()
    }

    fn inbox(&self) -> Arc<dyn Inbox> {
        Arc::new(ShardedInbox::new(self.shards.clone()))
    }

    /// They belong to nobody, and are all in the first database.
    fn dead_letters(&self) -> Arc<dyn DeadLetters> {
        Arc::new(PostgresDeadLetters::new(self.shards.each()[0].clone()))
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
