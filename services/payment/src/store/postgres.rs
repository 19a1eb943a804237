//! The store on Postgres.
//!
//! Several processes may change one payment at the same moment. Each locks its row
//! first, so the next one goes on from what the last has left; who is the first to
//! write the row is decided by its key.

mod books;
mod ledger;
mod payments;

use time::OffsetDateTime;
use trellis_api::id::PaymentId;
use trellis_storage::{Migration, Options, Postgres, PostgresUrl};

use super::{Books, Due, Store};
use crate::domain::{Change, Intent, Payment};
use crate::error::Error;

const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_payments",
    sql: include_str!("../../migrations/postgres/0001_payments.sql"),
}];

/// Payments and the ledger in one Postgres database.
#[derive(Clone, Debug)]
pub(super) struct PostgresStore {
    database: Postgres,
}

impl PostgresStore {
    pub(super) async fn open(
        url: &PostgresUrl,
        options: &Options,
    ) -> Result<Self, trellis_storage::Error> {
        Ok(Self { database: Postgres::open(url, MIGRATIONS, options).await? })
    }
}

#[async_trait::async_trait]
impl Store for PostgresStore {
    async fn begin(&self, intent: Intent, now: OffsetDateTime) -> Result<Payment, Error> {
        self.database.write(|tx| payments::begin(tx, &intent, now)).await
    }

    async fn void(&self, id: PaymentId, now: OffsetDateTime) -> Result<Payment, Error> {
        self.database.write(|tx| payments::void(tx, id, now)).await
    }

    async fn change(
        &self,
        id: PaymentId,
        change: Change,
        now: OffsetDateTime,
    ) -> Result<Payment, Error> {
        self.database.write(|tx| payments::change(tx, id, &change, now)).await
    }

    async fn get(&self, id: PaymentId) -> Result<Payment, Error> {
        self.database.look_up(|tx| payments::get(tx, id)).await
    }

    async fn page(&self, after: Option<PaymentId>, limit: u32) -> Result<Vec<Payment>, Error> {
        self.database.look_up(|tx| payments::page(tx, after, limit)).await
    }

    async fn due(&self, now: OffsetDateTime, limit: u32) -> Result<Vec<Due>, Error> {
        self.database.look_up(|tx| payments::due(tx, now, limit)).await
    }

    async fn postpone(
        &self,
        due: Due,
        until: Option<OffsetDateTime>,
        looks: u32,
    ) -> Result<(), Error> {
        self.database.write(|tx| payments::postpone(tx, due, until, looks)).await
    }

    async fn books(&self) -> Result<Books, Error> {
        self.database.read(books::add_up).await
    }
}

/// What belongs to a payment is found by.
fn bucket(id: PaymentId) -> i16 {
    id.bucket().get().cast_signed()
}

/// A value that nothing here has written.
fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}
