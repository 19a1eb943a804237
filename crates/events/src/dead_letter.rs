//! The events that a consumer has given up on, until someone has them replayed.

pub mod postgres;
mod sqlite;

use time::OffsetDateTime;
use trellis_storage::{Error, Migration};

use crate::Event;

pub use postgres::PostgresDeadLetters;
pub use sqlite::SqliteDeadLetters;

/// The table; put it among a service's own migrations.
pub const MIGRATION: Migration =
    Migration { name: "dead_letters_0001", sql: include_str!("dead_letter/0001.sql") };

/// Where a consumer keeps its dead letters.
#[async_trait::async_trait]
pub trait DeadLetters: Send + Sync {
    /// Keeps a letter; one that is there already stays as it is.
    async fn bury(&self, consumer: &'static str, letter: DeadLetter) -> Result<(), Error>;

    /// Up to `limit` letters after `after`, oldest first.
    async fn list(
        &self,
        consumer: &'static str,
        after: Option<Place>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, Error>;

    /// How many there are.
    async fn count(&self, consumer: &'static str) -> Result<u64, Error>;

    /// Those of these events that are dead letters.
    async fn find(
        &self,
        consumer: &'static str,
        event_ids: Vec<String>,
    ) -> Result<Vec<DeadLetter>, Error>;

    /// Removes what was handled this time and counts the attempt of what failed.
    async fn settle(&self, consumer: &'static str, replays: Vec<Replay>) -> Result<(), Error>;
}

/// An event that a consumer has given up on.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// The event.
    pub event: Event,
    /// How often it was tried.
    pub attempts: u32,
    /// What went wrong the last time.
    pub error: String,
    /// When the consumer gave up.
    pub create_time: OffsetDateTime,
}

/// A place in the list of dead letters.
#[derive(Clone, Debug)]
pub struct Place {
    /// The creation time of the letter there.
    pub create_time: OffsetDateTime,
    /// Its event.
    pub event_id: String,
}

/// What became of a dead letter that was tried again.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Which event.
    pub event_id: String,
    /// What went wrong; `None` when it was handled.
    pub error: Option<String>,
}

impl DeadLetter {
    /// Where it is in the list.
    pub fn place(&self) -> Place {
        Place { create_time: self.create_time, event_id: self.event.event_id.clone() }
    }
}
