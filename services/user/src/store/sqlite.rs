//! The store in one SQLite file.

mod audit;
mod sessions;
mod users;

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::Row;
use rusqlite::types::Type;
use time::OffsetDateTime;
use trellis_api::id::UserId;
use trellis_events::outbox::{self, Outbox, SqliteOutbox};
use trellis_storage::{self as storage, Migration, Sqlite, lease};

use super::{Check, Store};
use crate::domain::{Credentials, DisplayName, EmailKey, PasswordHash, Session, TokenHash, User};
use crate::error::Error;

const MIGRATIONS: &[Migration] = &[
    Migration {
        name: "0001_accounts",
        sql: include_str!("../../migrations/sqlite/0001_accounts.sql"),
    },
    lease::MIGRATION,
    outbox::MIGRATION,
    outbox::RECEIPTS,
];

pub(super) struct SqliteStore {
    database: Sqlite,
    outbox: Arc<SqliteOutbox>,
}

impl SqliteStore {
    pub(super) fn open(path: &Path, options: &storage::Options) -> Result<Self, storage::Error> {
        let database = Sqlite::open(path, MIGRATIONS, options)?;
        let outbox = Arc::new(SqliteOutbox::new(database.clone()));
        Ok(Self { database, outbox })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn create_user(
        &self,
        user: User,
        password_hash: PasswordHash,
        session: Session,
    ) -> Result<(), Error> {
        self.database.write(move |tx| users::create(tx, &user, &password_hash, &session)).await
    }

    async fn credentials(&self, email: EmailKey) -> Result<Option<Credentials>, Error> {
        self.database.read(move |tx| users::credentials(tx, email)).await
    }

    async fn user(&self, id: UserId) -> Result<User, Error> {
        self.database.look_up(move |tx| users::get(tx, id)).await
    }

    async fn update_user(
        &self,
        id: UserId,
        display_name: Option<DisplayName>,
        now: OffsetDateTime,
    ) -> Result<User, Error> {
        let Some(display_name) = display_name else { return self.user(id).await };
        self.database.write(move |tx| users::rename(tx, id, &display_name, now)).await
    }

    async fn delete_user(&self, id: UserId, now: OffsetDateTime) -> Result<(), Error> {
        self.database.write(move |tx| users::delete(tx, id, now)).await?;
        self.outbox.wake();
        Ok(())
    }

    async fn open_session(
        &self,
        session: Session,
        password_hash: Option<PasswordHash>,
    ) -> Result<(), Error> {
        self.database
            .write(move |tx| {
                if let Some(password_hash) = password_hash {
                    users::rehash(tx, session.user_id, &password_hash)?;
                }
                sessions::open(tx, &session)
            })
            .await
    }

    async fn session(&self, token: TokenHash) -> Result<Option<Session>, Error> {
        self.database.look_up(move |tx| sessions::get(tx, token)).await
    }

    async fn note_use(&self, token: TokenHash, now: OffsetDateTime) -> Result<(), Error> {
        self.database.write(move |tx| sessions::note_use(tx, token, now)).await
    }

    async fn end_session(&self, token: TokenHash) -> Result<(), Error> {
        self.database.write(move |tx| sessions::end(tx, token)).await
    }

    async fn purge_sessions(&self, last_seen: OffsetDateTime, limit: u32) -> Result<u32, Error> {
        self.database.write(move |tx| sessions::purge(tx, last_seen, limit)).await
    }

    /// An address and its account are written together here, so there is nothing to do.
    async fn look_after_addresses(&self, _: OffsetDateTime) -> Result<(), Error> {
        Ok(())
    }

    async fn audit(&self, now: OffsetDateTime) -> Result<Vec<Check>, Error> {
        let mut checks = self.database.read(audit::run).await?;
        checks.push(Check::undelivered(self.outbox.backlog().await?, now));
        Ok(checks)
    }

    fn outboxes(&self) -> Vec<Arc<dyn Outbox>> {
        vec![self.outbox.clone()]
    }
}

/// A text column that was written from a `T`.
fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|error: T::Err| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
    })
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<OffsetDateTime> {
    row.get(column).map(storage::from_micros)
}
