//! The store in Postgres: one database, or several that share the accounts by bucket.

mod address;
mod audit;
mod directory;
mod sessions;
mod users;

use std::sync::Arc;

use async_trait::async_trait;
use time::OffsetDateTime;
use trellis_api::id::UserId;
use trellis_events::outbox::{self, Backlog, Outbox, PostgresOutbox};
use trellis_storage::lease::postgres as lease;
use trellis_storage::shards::{self, mover::Tables};
use trellis_storage::{self as storage, Freshness, Migration, Postgres, PostgresUrl, Shards, Tx};

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
    shards::MIGRATION,
    Migration {
        name: "0002_shards",
        sql: include_str!("../../migrations/postgres/0002_shards.sql"),
    },
];

/// What moves with a bucket. Events do not: whoever has them tells of them.
pub(super) const TABLES: Tables = &["email_directory", "users", "sessions"];

pub(super) struct PostgresStore {
    shards: Shards,
    /// One of each shard.
    outboxes: Vec<Arc<PostgresOutbox>>,
}

impl PostgresStore {
    pub(super) async fn open(
        urls: &[PostgresUrl],
        options: &storage::Options,
    ) -> Result<Self, storage::Error> {
        let shards = open(urls, options).await?;
        let outbox = |shard: &Postgres| Arc::new(PostgresOutbox::new(shard.clone()));
        let outboxes = shards.each().iter().map(outbox).collect();
        Ok(Self { shards, outboxes })
    }
}

pub(super) async fn open(
    urls: &[PostgresUrl],
    options: &storage::Options,
) -> Result<Shards, storage::Error> {
    Shards::open(urls, MIGRATIONS, options).await
}

#[async_trait]
impl Store for PostgresStore {
    async fn create_user(
        &self,
        user: User,
        password_hash: PasswordHash,
        session: Session,
    ) -> Result<(), Error> {
        address::sign_up(&self.shards, &user, &password_hash, &session).await
    }

    async fn credentials(&self, email: EmailKey) -> Result<Option<Credentials>, Error> {
        address::credentials(&self.shards, email).await
    }

    async fn user(&self, id: UserId) -> Result<User, Error> {
        // It is shown, and decides nothing.
        self.shards.look_up_at(id.bucket(), Freshness::Session, |tx| users::get(tx, id)).await
    }

    async fn update_user(
        &self,
        id: UserId,
        display_name: Option<DisplayName>,
        now: OffsetDateTime,
    ) -> Result<User, Error> {
        let Some(display_name) = display_name else { return self.user(id).await };
        self.shards.write(id.bucket(), |tx| users::rename(tx, id, &display_name, now)).await
    }

    async fn delete_user(&self, id: UserId, now: OffsetDateTime) -> Result<(), Error> {
        address::erase(&self.shards, id, now).await?;
        self.outboxes.iter().for_each(|outbox| outbox.wake());
        Ok(())
    }

    async fn open_session(
        &self,
        session: Session,
        password_hash: Option<PasswordHash>,
    ) -> Result<(), Error> {
        let unit = |tx| open_session(tx, &session, password_hash.as_ref());
        self.shards.write(session.user_id.bucket(), unit).await
    }

    async fn session(&self, token: TokenHash) -> Result<Option<Session>, Error> {
        self.shards.look_up(token.bucket, |tx| sessions::get(tx, token)).await
    }

    async fn note_use(&self, token: TokenHash, now: OffsetDateTime) -> Result<(), Error> {
        self.shards.write(token.bucket, |tx| sessions::note_use(tx, token, now)).await
    }

    async fn end_session(&self, token: TokenHash) -> Result<(), Error> {
        self.shards.write(token.bucket, |tx| sessions::end(tx, token)).await
    }

    async fn purge_sessions(&self, last_seen: OffsetDateTime, limit: u32) -> Result<u32, Error> {
        let mut purged = 0;
        for shard in self.shards.each() {
            let left = limit - purged;
            purged += Shards::sweep(shard, |tx| sessions::purge(tx, last_seen, left)).await?;
        }
        Ok(purged)
    }

    async fn look_after_addresses(&self, now: OffsetDateTime) -> Result<(), Error> {
        address::look_after(&self.shards, now).await
    }

    async fn audit(&self, now: OffsetDateTime) -> Result<Vec<Check>, Error> {
        let mut checks = audit::run(&self.shards).await?;
        let mut sum = Backlog::default();
        for outbox in &self.outboxes {
            sum = sum.and(outbox.backlog().await?);
        }
        checks.push(Check::undelivered(sum, now));
        Ok(checks)
    }

    fn outboxes(&self) -> Vec<Arc<dyn Outbox>> {
        self.outboxes.iter().map(|outbox| Arc::clone(outbox) as Arc<dyn Outbox>).collect()
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
