//! What the service remembers.
//!
//! Each method is a whole unit of work, so nobody can hold a transaction open
//! while the processor is asked.

mod postgres;
mod row;
mod sqlite;

use std::sync::Arc;

use time::{Duration, OffsetDateTime};
use trellis_api::Currency;
use trellis_api::id::PaymentId;
use trellis_storage::{ShardsProblem, Url};

use crate::domain::{Change, EntryKind, Intent, Payment};
use crate::error::Error;

use self::postgres::PostgresStore;
use self::sqlite::SqliteStore;

/// How long a payment may stay unsettled before the reconciler looks at it:
/// longer than a call to the processor takes.
pub const GRACE: Duration = Duration::seconds(30);

/// The promise: a payment only ever goes on from the state that is stored, whoever
/// else changes it at the same moment, and money that has moved stands in the ledger
/// in the same transaction.
#[async_trait::async_trait]
pub trait Store: Send + Sync + 'static {
    /// Records that the processor is about to be asked, unless the payment is
    /// known. Returns what is then stored. Fails when it is known with another
    /// amount or token.
    async fn begin(&self, intent: Intent, now: OffsetDateTime) -> Result<Payment, Error>;

    /// Records that the payment is to be let go, or the tombstone of one that
    /// never came.
    async fn void(&self, id: PaymentId, now: OffsetDateTime) -> Result<Payment, Error>;

    /// Applies a change to what is stored, and returns what is then stored.
    async fn change(
        &self,
        id: PaymentId,
        change: Change,
        now: OffsetDateTime,
    ) -> Result<Payment, Error>;

    /// Returns a payment.
    async fn get(&self, id: PaymentId) -> Result<Payment, Error>;

    /// Returns payments in the order of their ids, from the one after `after`.
    async fn page(&self, after: Option<PaymentId>, limit: u32) -> Result<Vec<Payment>, Error>;

    /// Returns the payments that the reconciler is to look at, most urgent first.
    async fn due(&self, now: OffsetDateTime, limit: u32) -> Result<Vec<Due>, Error>;

    /// Puts off the next look at a payment, for ever if `until` is `None`, and counts
    /// `looks` that settled nothing. Does nothing when the payment has been settled
    /// since, or put off by another who looked at it.
    async fn postpone(
        &self,
        due: Due,
        until: Option<OffsetDateTime>,
        looks: u32,
    ) -> Result<(), Error>;

    /// Adds up payments and ledger, all as of one moment.
    async fn books(&self) -> Result<Books, Error>;
}

/// A payment to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Which one.
    pub payment: PaymentId,
    /// How many looks have settled nothing.
    pub attempts: u32,
    /// Since when it is due.
    pub since: OffsetDateTime,
}

/// What payments and ledger add up to. Lists hold at most 100 entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// How many payments there are.
    pub payments: i64,
    /// How many ledger entries there are.
    pub entries: i64,
    /// How many payments must stand in the ledger.
    pub captured: i64,
    /// Payments with several entries of one kind, and how many.
    pub repeated: Vec<(PaymentId, EntryKind, i64)>,
    /// Entries that do not sum to zero, and the sum.
    pub unbalanced: Vec<(PaymentId, EntryKind, i64)>,
    /// Payments whose state and ledger entries disagree.
    pub unrecorded: Vec<PaymentId>,
    /// The sums, by currency.
    pub sums: Vec<Sums>,
}

/// The money of one currency, in its smallest unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sums {
    /// Which currency.
    pub currency: Currency,
    /// All payments that were not declined.
    pub authorized: i64,
    /// Payments that are neither let go nor taken yet.
    pub pending: i64,
    /// Payments that were let go.
    pub voided: i64,
    /// Payments that were taken and not given back.
    pub kept: i64,
    /// What the ledger says was taken.
    pub captured: i64,
    /// What the ledger says was given back.
    pub refunded: i64,
    /// The sum over all postings.
    pub balance: i64,
}

/// Opens the store at `database`, and brings its schema up to date. With a file, it blocks.
pub async fn open(
    database: &Url,
    options: &trellis_storage::Options,
) -> anyhow::Result<Arc<dyn Store>> {
    Ok(match database {
        Url::Sqlite(path) => Arc::new(SqliteStore::open(path, options)?),
        Url::Postgres(url) => Arc::new(PostgresStore::open(url, options).await?),
        Url::Shards(_) => {
            return Err(
                trellis_storage::Error::from(ShardsProblem::One { service: "payment" }).into()
            );
        }
    })
}
