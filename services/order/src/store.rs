//! What the service remembers.
//!
//! Each method is a whole unit of work: it happens or it does not, and what it
//! has answered survives a crash. Callers never see a transaction, so they
//! cannot hold one open across a network call.
//!
//! A happy checkout is two units: [`Store::begin`] and [`Store::end`].

mod checkout;
mod checks;
mod postgres;
mod sqlite;
mod words;

use std::sync::Arc;

use async_trait::async_trait;
use time::OffsetDateTime;
use trellis_api::id::{OrderId, UserId};
use trellis_api::{Quantity, Sku};
use trellis_events::Event;
use trellis_events::dead_letter::DeadLetters;
use trellis_events::inbox::Inbox;
use trellis_events::outbox::Outbox;
use trellis_storage::idempotency::{Answer, Fingerprint};
use trellis_storage::shards::mover::Tables;
use trellis_storage::{Error, Options, PostgresUrl, Shards, Url};
use uuid::Uuid;

use crate::domain::{Cancellation, Line, Order};
use crate::saga::{Entry, Hold, Lease, Saga, Step};

use self::postgres::PostgresStore;
use self::sqlite::SqliteStore;

/// How many orders one page of the audit has.
pub const AUDIT_PAGE: u32 = 500;

/// A cart after a change.
#[derive(Clone, Debug)]
pub struct CartChanged {
    pub lines: Vec<Line>,
    /// Whether there was nothing in it before.
    pub was_empty: bool,
}

/// The sagas that have not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// How many are at work, or will be.
    pub open: u64,
    /// When the oldest of these began.
    pub oldest: Option<OffsetDateTime>,
    /// How many wait for somebody to look at them.
    pub needs_operator: u64,
}

impl Backlog {
    /// Of two databases.
    fn and(self, other: Self) -> Self {
        Self {
            open: self.open + other.open,
            oldest: self.oldest.into_iter().chain(other.oldest).min(),
            needs_operator: self.needs_operator + other.needs_operator,
        }
    }
}

/// Carts, orders and sagas, with the promises that one request never makes two
/// orders, and that only the holder of a saga's latest fence can change it.
#[async_trait]
pub trait Store: Send + Sync {
    /// A customer's cart, by SKU.
    async fn cart(&self, user_id: UserId) -> Result<Vec<Line>, Error>;

    /// Sets or removes a line. `None`: the cart has no room for one more line, and
    /// nothing was changed.
    async fn set_cart_item(
        &self,
        user_id: UserId,
        sku: Sku,
        quantity: Option<Quantity>,
        now: OffsetDateTime,
    ) -> Result<Option<CartChanged>, Error>;

    /// Deletes the cart of a customer who is gone, once for each event.
    async fn forget_user(
        &self,
        event_id: String,
        user_id: UserId,
        now: OffsetDateTime,
    ) -> Result<(), Error>;

    /// One of the customer's own orders.
    async fn order(&self, user_id: UserId, order_id: OrderId) -> Result<Option<Order>, Error>;

    /// The customer's orders from behind `after`, newest first.
    async fn orders(
        &self,
        user_id: UserId,
        after: Option<Place>,
        limit: u32,
    ) -> Result<Vec<Order>, Error>;

    /// What is known of a checkout request; `None`: it is new.
    async fn find(&self, request: CheckoutRequest) -> Result<Option<Known>, Error>;

    /// Accepts an order: its request is claimed, and it has a saga that `lease`
    /// gives to the caller. `Some`: the request is known, and nothing was changed.
    async fn begin(
        &self,
        saga: Saga,
        fingerprint: Fingerprint,
        lease: Lease,
    ) -> Result<Option<Known>, Error>;

    /// Writes down that a customer wants no sale, or wants the sale undone.
    async fn request_cancel(&self, cancel: Cancel) -> Result<Cancelling, Error>;

    /// Lets go of sagas whose owners cannot be running any more, and says of how many.
    /// Called once, before this process has a saga.
    ///
    /// It is a short cut that only a store for one process at a time can take. One that
    /// several share frees none: what a dead process held is due when its lease lapses.
    async fn free_orphans(&self) -> Result<usize, Error>;

    /// Takes over up to `limit` sagas that are due and that nobody works on, longest
    /// overdue first. Each goes to one caller, under a fence that nobody had before.
    async fn claim_due(
        &self,
        lease: Lease,
        now: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<Saga>, Error>;

    /// What has not ended yet.
    async fn backlog(&self) -> Result<Backlog, Error>;

    /// Renews a lease, and tells whether a cancellation is requested. `None`:
    /// somebody has taken over.
    async fn renew(&self, hold: Hold, until: OffsetDateTime) -> Result<Option<bool>, Error>;

    /// Writes down that a saga turns back. `false`: somebody has taken over.
    async fn turn_back(&self, hold: Hold, turn: TurnBack) -> Result<bool, Error>;

    /// Puts a saga off, or away, and gives its lease back. `false`: somebody has
    /// taken over.
    async fn postpone(&self, hold: Hold, postponement: Postponement) -> Result<bool, Error>;

    /// Ends a saga with its order, its event and its answer. `None`: somebody
    /// has taken over.
    async fn end(&self, hold: Hold, ending: Ending) -> Result<Option<Ended>, Error>;

    /// Forgets some idempotency records made before `before`, and says how many:
    /// when it is not 0 there may be more.
    async fn purge(&self, before: OffsetDateTime) -> Result<u64, Error>;

    /// Looks for what breaks the service's promises.
    async fn audit(&self, now: OffsetDateTime) -> Result<Vec<Check>, Error>;

    /// Up to [`AUDIT_PAGE`] orders from the first one after `after`, in an order that is
    /// the store's own and does not change.
    async fn audited_orders(&self, after: Option<OrderId>) -> Result<Vec<AuditedOrder>, Error>;

    /// The events that wait to be published, of each database.
    fn outboxes(&self) -> Vec<Arc<dyn Outbox>>;

    /// Which events were applied.
    fn inbox(&self) -> Arc<dyn Inbox>;

    /// The events that could not be applied.
    fn dead_letters(&self) -> Arc<dyn DeadLetters>;
}

/// A place in a customer's list of orders.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub create_time: OffsetDateTime,
    pub order_id: OrderId,
}

/// What names a checkout request, and tells it from another with its name.
#[derive(Clone, Copy, Debug)]
pub struct CheckoutRequest {
    pub user_id: UserId,
    pub request_id: Uuid,
    pub fingerprint: Fingerprint,
}

/// What is known of a checkout request that was made before.
#[derive(Clone, Debug)]
pub enum Known {
    /// Its order is not settled yet.
    Running(OrderId),
    /// This was the answer.
    Answered(Answer),
    /// The id was used for another purchase.
    Mismatch,
    /// Its record is gone, after 72 hours. Its order is not.
    Late(Order),
}

/// A wish that there be no sale.
#[derive(Clone, Copy, Debug)]
pub struct Cancel {
    pub user_id: UserId,
    pub order_id: OrderId,
    pub request_id: Uuid,
    /// Who runs the refund, if there is to be one; `None` leaves it to recovery.
    pub lease: Option<Lease>,
    pub now: OffsetDateTime,
}

/// What comes of a wish to cancel.
#[derive(Clone, Debug)]
pub enum Cancelling {
    /// The customer has no such order.
    NotFound,
    /// The request id was used for another order.
    Mismatch,
    /// It is written down.
    Noted {
        order: Order,
        /// The refund that this call has begun.
        refund: Option<Box<Saga>>,
        /// Whether the same request was made before.
        is_repeated: bool,
    },
}

/// A decision to turn back. The payment token goes with it.
#[derive(Clone, Debug)]
pub struct TurnBack {
    pub why: Cancellation,
    pub log: Vec<Entry>,
    pub now: OffsetDateTime,
}

/// Why and until when a saga rests.
#[derive(Clone, Debug)]
pub struct Postponement {
    pub step: Option<Step>,
    pub attempts: u32,
    pub failures: u32,
    /// `None`: only an operator can help.
    pub next_attempt_time: Option<OffsetDateTime>,
    pub error: Option<String>,
    pub log: Vec<Entry>,
    pub now: OffsetDateTime,
}

/// The end of a saga.
#[derive(Clone, Debug)]
pub struct Ending {
    /// In its new state.
    pub order: Order,
    pub event: Event,
    /// What the checkout's caller is told, now and on each repetition.
    pub answer: Option<Answer>,
    /// Empty the cart of what was in it when the order was made.
    pub clear_cart: bool,
    pub log: Vec<Entry>,
    /// Who runs the refund of an order that was cancelled too late.
    pub lease: Lease,
    pub now: OffsetDateTime,
}

/// What follows from the end of a saga.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The refund of a sale that the customer had cancelled meanwhile.
    pub refund: Option<Box<Saga>>,
}

/// What looking for violations of one invariant has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The sentence that must hold.
    pub invariant: &'static str,
    /// How many things were looked at.
    pub examined: i64,
    /// The first hundred, each with its subject and what is wrong with it.
    pub violations: Vec<(String, String)>,
}

/// An order with what is still to be done about it.
#[derive(Clone, Debug)]
pub struct AuditedOrder {
    pub order: Order,
    /// When the saga that is at work on it is next due; `None`: none is.
    pub next_attempt_time: Option<OffsetDateTime>,
}

/// Opens the store at `database`, and brings its schema up to date. With a file, it blocks.
pub async fn open(database: &Url, options: &Options) -> anyhow::Result<Arc<dyn Store>> {
    match database {
        Url::Sqlite(path) => Ok(Arc::new(SqliteStore::open(path, options)?)),
        Url::Postgres(url) => {
            Ok(Arc::new(PostgresStore::open(std::slice::from_ref(url), options).await?))
        }
        Url::Shards(urls) => Ok(Arc::new(PostgresStore::open(urls, options).await?)),
    }
}

/// The databases that share the customers, and what moves from one to another.
pub async fn shards(urls: &[PostgresUrl], options: &Options) -> Result<(Shards, Tables), Error> {
    Ok((postgres::open(urls, options).await?, postgres::TABLES))
}
