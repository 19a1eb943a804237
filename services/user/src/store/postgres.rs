//! The store in one Postgres database.

mod audit;
mod sessions;
mod users;

use std::sync::Arc;

use async_trait::async_trait;
use time::OffsetDateTime;
use trellis_api::id::UserId;
use trellis_events::outbox::{self, Outbox, PostgresOutbox};
use trellis_storage::lease::postgres as lease;
use trellis_storage::{self as storage, Migration, Postgres, PostgresUrl, Tx};

use super::{Check, Store};
use crate::domain::{Credentials, DisplayName, EmailKey, PasswordHash, Session, TokenHash, User};
use crate::error::Error;

const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "0001_accounts",
        sql: include_str!("../../migrations/postgres/0001_accounts.sql"),
    },
    lease::MIGRATION,
    outbox::postgres::MIGRATION,
    outbox::postgres::RECEIPTS,
];

pub(super) struct PostgresStore {
    database: Postgres,
    outbox: Arc<PostgresOutbox>,
}

impl PostgresStore {
    pub(super) async fn open(
        url: &PostgresUrl,
        options: &storage::Options,
    ) -> Result<Self, storage::Error> {
        let database = Postgres::open(url, MIGRATIONS, options).await?;
        let outbox = Arc::new(PostgresOutbox::new(database.clone()));
        Ok(Self { database, outbox })
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn create_user(
        &self,
        user: User,
        password_hash: PasswordHash,
        session: Session,
    ) -> Result<(), Error> {
        self.database.write(|tx| users::create(tx, &user, &password_hash, &session)).await
    }

    async fn credentials(&self, email: EmailKey) -> Result<Option<Credentials>, Error> {
        self.database.look_up(|tx| users::credentials(tx, email)).await
    }

    async fn user(&self, id: UserId) -> Result<User, Error> {
        self.database.look_up(|tx| users::get(tx, id)).await
    }

    async fn update_user(
        &self,
        id: UserId,
        display_name: Option<DisplayName>,
        now: OffsetDateTime,
    ) -> Result<User, Error> {
        let Some(display_name) = display_name else { return self.user(id).await };
        self.database.write(|tx| users::rename(tx, id, &display_name, now)).await
    }

    async fn delete_user(&self, id: UserId, now: OffsetDateTime) -> Result<(), Error> {
        self.database.write(|tx| users::delete(tx, id, now)).await?;
        self.outbox.wake();
        Ok(())
    }

    async fn open_session(
        &self,
        session: Session,
        password_hash: Option<PasswordHash>,
    ) -> Result<(), Error> {
        self.database.write(|tx| open_session(tx, &session, password_hash.as_ref())).await
    }

    async fn session(&self, token: TokenHash) -> Result<Option<Session>, Error> {
        self.database.look_up(|tx| sessions::get(tx, token)).await
    }

    async fn note_use(&self, token: TokenHash, now: OffsetDateTime) -> Result<(), Error> {
        self.database.write(|tx| sessions::note_use(tx, token, now)).await
    }

    async fn end_session(&self, token: TokenHash) -> Result<(), Error> {
        self.database.write(|tx| sessions::end(tx, token)).await
    }

    async fn purge_sessions(&self, last_seen: OffsetDateTime, limit: u32) -> Result<u32, Error> {
        self.database.write(|tx| sessions::purge(tx, last_seen, limit)).await
    }

    async fn audit(&self, now: OffsetDateTime) -> Result<Vec<Check>, Error> {
        let mut checks = self.database.read(audit::run).await?;
        checks.push(Check::undelivered(self.outbox.backlog().await?, now));
        Ok(checks)
    }

    fn outbox(&self) -> Arc<dyn Outbox> {
        self.outbox.clone()
    }
}

async fn open_session(
    mut tx: Tx,
    session: &Session,
    password_hash: Option<&PasswordHash>,
) -> Result<(), Error> {
    if let Some(password_hash) = password_hash {
        users::rehash(&mut tx, session.user_id, password_hash).await?;
    }
    sessions::open(&mut tx, session).await
}

/// What belongs to an account is found by.
fn bucket(id: UserId) -> i16 {
    id.bucket().get().cast_signed()
}
