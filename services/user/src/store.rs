//! What the service remembers.

mod postgres;
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;
use trellis_api::id::UserId;
use trellis_events::outbox::{Backlog, Outbox};
use trellis_storage::shards::mover::Tables;
use trellis_storage::{self as storage, PostgresUrl, Shards, Url};

use crate::domain::{Credentials, DisplayName, EmailKey, PasswordHash, Session, TokenHash, User};
use crate::error::Error;

use self::postgres::PostgresStore;
use self::sqlite::SqliteStore;

/// How long an event may take before an audit calls it undelivered.
const DELIVERY: Duration = Duration::from_secs(30);
/// How many violations of one invariant are told.
const TOLD: usize = 100;

/// Accounts, their sessions, and the promise that no address has two accounts.
///
/// Each method is a whole unit of work: it happens or it does not, and what it
/// has answered survives a crash.
#[async_trait]
pub trait Store: Send + Sync {
    /// Makes an account with its first session. Fails with `EmailTaken`.
    async fn create_user(
        &self,
        user: User,
        password_hash: PasswordHash,
        session: Session,
    ) -> Result<(), Error>;

    /// Finds the account of an address.
    async fn credentials(&self, email: EmailKey) -> Result<Option<Credentials>, Error>;

    /// Fails with `UserNotFound`.
    async fn user(&self, id: UserId) -> Result<User, Error>;

    /// Changes what is given, and answers the account as it is then. Fails with `UserNotFound`.
    async fn update_user(
        &self,
        id: UserId,
        display_name: Option<DisplayName>,
        now: OffsetDateTime,
    ) -> Result<User, Error>;

    /// Erases the account, its address and its sessions, and records `user.deleted`.
    /// Fails with `UserNotFound`.
    async fn delete_user(&self, id: UserId, now: OffsetDateTime) -> Result<(), Error>;

    /// Opens a session, and replaces the stored hash if there is a new one.
    /// Fails with `UserNotFound` when the account has gone in the meantime.
    async fn open_session(
        &self,
        session: Session,
        password_hash: Option<PasswordHash>,
    ) -> Result<(), Error>;

    /// Finds a session, lapsed or not. One look-up by key: every signed-in call makes it.
    async fn session(&self, token: TokenHash) -> Result<Option<Session>, Error>;

    /// Records that a session was used at `now`. A session that is gone stays gone.
    async fn note_use(&self, token: TokenHash, now: OffsetDateTime) -> Result<(), Error>;

    /// Ends a session; one that is gone is no error.
    async fn end_session(&self, token: TokenHash) -> Result<(), Error>;

    /// Deletes up to `limit` sessions that were last used at `last_seen` or before,
    /// and says how many.
    async fn purge_sessions(&self, last_seen: OffsetDateTime, limit: u32) -> Result<u32, Error>;

    /// Brings addresses into order whose sign-up or erasure ended half-way.
    async fn look_after_addresses(&self, now: OffsetDateTime) -> Result<(), Error>;

    /// Looks for what breaks the service's promises.
    async fn audit(&self, now: OffsetDateTime) -> Result<Vec<Check>, Error>;

    /// The events that wait to be published, of each database.
    fn outboxes(&self) -> Vec<Arc<dyn Outbox>>;
}

/// What looking for violations of one invariant has found.
#[derive(Debug, PartialEq, Eq)]
pub struct Check {
    /// The sentence that must hold.
    pub invariant: &'static str,
    /// How many things were looked at.
    pub examined: i64,
    /// The first hundred, each with its subject and what is wrong with it.
    pub violations: Vec<(String, String)>,
}

/// Opens the store at `database`, and brings its schema up to date. With a file, it blocks.
pub async fn open(
    database: &Url,
    options: &storage::Options,
) -> Result<Arc<dyn Store>, storage::Error> {
    Ok(match database {
        Url::Sqlite(path) => Arc::new(SqliteStore::open(path, options)?),
        Url::Postgres(url) => {
            Arc::new(PostgresStore::open(std::slice::from_ref(url), options).await?)
        }
        Url::Shards(urls) => Arc::new(PostgresStore::open(urls, options).await?),
    })
}

/// The databases that share the accounts, and what moves from one to another.
pub async fn shards(
    urls: &[PostgresUrl],
    options: &storage::Options,
) -> Result<(Shards, Tables), storage::Error> {
    Ok((postgres::open(urls, options).await?, postgres::TABLES))
}

impl Check {
    fn of(invariant: &'static str) -> Self {
        Self { invariant, examined: 0, violations: Vec::new() }
    }

    fn violation(&mut self, subject: String, detail: &str) {
        if self.violations.len() < TOLD {
            self.violations.push((subject, detail.to_owned()));
        }
    }

    fn undelivered(backlog: Backlog, now: OffsetDateTime) -> Self {
        let mut check = Self::of("no event of a user is undelivered");
        check.examined = i64::try_from(backlog.count).unwrap_or(i64::MAX);
        if let Some(oldest) = backlog.oldest.filter(|oldest| *oldest + DELIVERY < now) {
            let detail = format!("{} events wait, the oldest since {oldest}", backlog.count);
            check.violation("outbox".to_owned(), &detail);
        }
        check
    }
}
