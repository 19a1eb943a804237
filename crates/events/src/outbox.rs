//! The events that a service still has to tell, beside the changes they tell of.
//!
//! A row is due until it is published. Published rows stay for a while, so that
//! a transport that forgets can be filled again. Who delivers is the [`crate::relay`].

pub mod postgres;
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use time::OffsetDateTime;
use trellis_api::timestamp;
use trellis_storage::lease::Fence;
use trellis_storage::{Error, Migration, micros};
use uuid::Uuid;

use crate::Event;
use crate::bus::{Delivery, Receipt};

pub use postgres::PostgresOutbox;
pub use sqlite::SqliteOutbox;

/// The name of the lease that relays compete for.
const LEASE: &str = "relay";

/// The table; put it among a service's own migrations.
pub const MIGRATION: Migration =
    Migration { name: "outbox_0001", sql: include_str!("outbox/0001.sql") };

/// The columns for receipts; put it among a service's own migrations, behind
/// [`MIGRATION`].
pub const RECEIPTS: Migration =
    Migration { name: "outbox_0002", sql: include_str!("outbox/0002.sql") };

/// What a relay needs of an outbox.
///
/// Rows are claimed by flag, never by "after the last one seen": a row may
/// become visible later than one with a higher sequence.
#[async_trait::async_trait]
pub trait Outbox: Send + Sync {
    /// Takes or renews the sole right to deliver; `None` while another relay has it.
    async fn claim(
        &self,
        owner: Uuid,
        ttl: Duration,
        now: OffsetDateTime,
    ) -> Result<Option<Claim>, Error>;

    /// Gives the right to deliver back.
    async fn release(&self, owner: Uuid) -> Result<(), Error>;

    /// The unpublished rows whose time has come, longest overdue first.
    async fn due(&self, now: OffsetDateTime, limit: u32) -> Result<Vec<Due>, Error>;

    /// Writes down what became of a batch, all or nothing, and renews the claim.
    ///
    /// `false`: the claim was lost meanwhile and nothing is written.
    async fn settle(
        &self,
        claim: Claim,
        settlements: Vec<Settlement>,
        now: OffsetDateTime,
    ) -> Result<bool, Error>;

    /// The row with the highest place in `stream`, but for the `skip` rows above it.
    async fn kept(&self, stream: &str, skip: u32) -> Result<Option<Kept>, Error>;

    /// Makes up to `limit` rows that were published until `now` due again; says how many.
    async fn unpublish(&self, lost: Lost, limit: u32, now: OffsetDateTime) -> Result<usize, Error>;

    /// What is not published yet.
    async fn backlog(&self) -> Result<Backlog, Error>;

    /// What buses keep of what was published at `since` or later, stream by stream. Reads
    /// all of these rows.
    async fn deposits(&self, since: Option<OffsetDateTime>) -> Result<Vec<Deposit>, Error>;

    /// Forgets rows published before `before`, looking only at the `limit`
    /// oldest rows; says how many went.
    async fn purge(&self, before: OffsetDateTime, limit: u32) -> Result<usize, Error>;

    /// Tells the relay that something is due; a wake that nobody waits for is kept.
    fn wake(&self);

    /// Waits for a wake.
    async fn woken(&self);
}

/// The sole right to deliver, until it runs out or is taken over.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// Who holds it.
    pub owner: Uuid,
    /// For how long each renewal holds.
    pub ttl: Duration,
    /// Tells this claim from a later one.
    pub fence: Fence,
}

/// A row to deliver.
#[derive(Clone, Debug)]
pub struct Due {
    /// Names the row.
    pub sequence: i64,
    /// What to hand over.
    pub delivery: Delivery,
}

/// What became of a row.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// Names the row.
    pub sequence: i64,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everyone who wants it has it, or the bus keeps it for them.
    Published(Option<Receipt>),
    /// A consumer failed: the attempt counts.
    Refused {
        /// When to try again.
        next_attempt_time: OffsetDateTime,
    },
    /// A consumer was not there: the attempt does not count.
    Postponed {
        /// When to try again.
        next_attempt_time: OffsetDateTime,
    },
}

/// A published row that a bus keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its event.
    pub event_id: String,
    /// Its place in the stream.
    pub sequence: u64,
}

/// Which published rows a bus has lost; only rows with a receipt are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// All that it kept.
    All,
    /// All that was published then or later.
    Since(OffsetDateTime),
    /// What it kept in any stream but this one.
    Elsewhere(Arc<str>),
    /// What had a higher place in the stream than this.
    Above(Receipt),
}

/// What a bus keeps of an outbox in one stream, as far as the outbox knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deposit {
    /// Names the stream, as receipts do.
    pub stream: Arc<str>,
    /// How many events.
    pub count: u64,
    /// The highest place of one of them.
    pub highest: u64,
    /// When the last of them was published.
    pub last: OffsetDateTime,
}

/// What is not published yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// How many events.
    pub count: u64,
    /// When the oldest of them happened.
    pub oldest: Option<OffsetDateTime>,
}

impl Backlog {
    /// Of two outboxes.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let oldest = self.oldest.into_iter().chain(other.oldest).min();
        Self { count: self.count + other.count, oldest }
    }
}

/// The rows of [`Lost`] in the order of streams and places; `None` stands for no rows.
#[derive(Clone, Copy, Debug, Default)]
struct Ranges<'a> {
    /// All of the streams before this one.
    below: Option<&'a str>,
    /// All of the streams behind this one.
    beyond: Option<&'a str>,
    /// Of this stream, what is above this place.
    within: Option<&'a str>,
    above: i64,
}

impl Lost {
    /// When the rows were published at the earliest.
    fn since(&self) -> OffsetDateTime {
        match self {
            Self::Since(since) => *since,
            _ => OffsetDateTime::UNIX_EPOCH,
        }
    }

    fn ranges(&self) -> Ranges<'_> {
        match self {
            // The rows of both are beyond the empty name; see `since`.
            Self::All | Self::Since(_) => Ranges { beyond: Some(""), ..Ranges::default() },
            Self::Elsewhere(stream) => {
                Ranges { below: Some(stream), beyond: Some(stream), ..Ranges::default() }
            }
            Self::Above(Receipt { stream, sequence }) => {
                let above = sequence.cast_signed();
                Ranges { within: Some(stream), above, ..Ranges::default() }
            }
        }
    }
}

/// Adds an event to the transaction; call [`Outbox::wake`] once it is committed.
pub fn append(tx: &Connection, event: &Event) -> Result<(), Error> {
    let headers = serde_json::to_string(&event.headers).expect("texts can be written as JSON");
    // A missing time becomes NULL, which the table refuses.
    let create_time = event.create_time.as_ref().and_then(timestamp::from_proto).map(micros);
    tx.prepare_cached(
        "
        INSERT INTO outbox
               (event_id, kind, subject, payload, headers, create_time, next_attempt_time)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
        ",
    )?
    .execute((
        &event.event_id,
        &event.r#type,
        &event.subject,
        &event.payload[..],
        headers,
        create_time,
    ))?;
    Ok(())
}
