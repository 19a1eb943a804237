//! Where what was learned from is kept.
//!
//! Each method is a whole unit of work, durable when it answers. Callers never
//! see a transaction, so they cannot hold one open across a network call.
//! The store promises an order: whoever reads [`Store::changes`] after a
//! [`Position`] misses nothing and gets each basket once, whoever else writes meanwhile.

mod postgres;
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use time::OffsetDateTime;
use trellis_api::id::OrderId;
use trellis_events::dead_letter::DeadLetters;
use trellis_events::inbox::Inbox;
use trellis_storage::{Error, Options, ShardsProblem, Url};
use uuid::Uuid;

use crate::domain::{Basket, HourViews, LearnedBasket, Position, View};

use self::postgres::PostgresStore;
use self::sqlite::SqliteStore;

/// How long a follower that is not heard of keeps what it has not learned from being
/// deleted.
pub const FOLLOWING: Duration = Duration::from_mins(10);

/// Baskets and views, in the order in which they can be read.
#[async_trait]
pub trait Store: Send + Sync {
    /// Keeps a basket, unless its event or its order was heard before. Returns
    /// where it can be read, or the beginning if there is nothing new to read.
    async fn keep_basket(
        &self,
        event_id: String,
        basket: Basket,
        now: OffsetDateTime,
    ) -> Result<Position, Error>;

    /// Counts a view, unless its event was heard before. Returns where the count
    /// can be read, or the beginning if there is nothing new to read.
    async fn count_view(
        &self,
        event_id: String,
        view: View,
        now: OffsetDateTime,
    ) -> Result<Position, Error>;

    /// Up to `limit` baskets and up to `limit` counts of views after `position`.
    async fn changes(&self, position: Position, limit: u32) -> Result<Changes, Error>;

    /// Begins to follow, from the beginning, and says what is deleted by now. From here
    /// on nothing is deleted that `follower` has not learned, as long as it calls
    /// [`forget`](Self::forget) at least every [`FOLLOWING`].
    async fn follow(&self, follower: Follower, now: OffsetDateTime) -> Result<Forgotten, Error>;

    /// Notes what `follower` has learned, and deletes what `retention` does not keep and
    /// all followers have learned, among the `limit` oldest baskets and the `limit` oldest
    /// counts of views; says how many that were. `None`: nothing was heard of this
    /// follower for too long, and what it has not learned may be gone.
    async fn forget(
        &self,
        follower: Follower,
        retention: Retention,
        limit: u32,
        now: OffsetDateTime,
    ) -> Result<Option<u32>, Error>;

    /// Looks at the baskets up to `sequence`, in one snapshot.
    async fn survey(&self, sequence: i64, heard_since: OffsetDateTime) -> Result<Survey, Error>;

    /// Orders with their baskets' sequences, in that order, after `sequence`.
    async fn order_ids(&self, sequence: i64, limit: u32) -> Result<Vec<(i64, OrderId)>, Error>;

    /// The events that this service has applied.
    fn inbox(&self) -> Arc<dyn Inbox>;

    /// The events that this service has given up on.
    fn dead_letters(&self) -> Arc<dyn DeadLetters>;
}

/// Names a model that reads this store. There is one in each process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follower(pub Uuid);

/// What is new since a position, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    pub baskets: Vec<LearnedBasket>,
    pub views: Vec<HourViews>,
}

/// What is worth keeping.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// How many of the newest baskets.
    pub baskets: i64,
    /// Baskets from this time on.
    pub baskets_since: OffsetDateTime,
    /// Views from this time on.
    pub views_since: OffsetDateTime,
    /// What lies behind this position the follower has learned, so it may go.
    pub learned: Position,
}

/// What was deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// How many baskets.
    pub baskets: i64,
    /// The time of the newest of them.
    pub until: Option<OffsetDateTime>,
}

/// What an audit needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// How many baskets there are, up to the sequence asked for.
    pub baskets: i64,
    pub forgotten: Forgotten,
    /// How many of the baskets are so young that the inbox must know their events.
    pub young: i64,
    /// Those of them whose events it does not know; the first hundred.
    pub unheard: Vec<OrderId>,
}

/// Opens the store at `database`, and brings its schema up to date. With a file, it blocks.
pub async fn open(database: &Url, options: &Options) -> anyhow::Result<Arc<dyn Store>> {
    Ok(match database {
        Url::Sqlite(path) => Arc::new(SqliteStore::open(path, options)?),
        Url::Postgres(url) => Arc::new(PostgresStore::open(url, options).await?),
        Url::Shards(_) => {
            return Err(trellis_storage::Error::from(ShardsProblem::One {
                service: "recommendation",
            })
            .into());
        }
    })
}

impl Follower {
    /// A name that nobody else has.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}
