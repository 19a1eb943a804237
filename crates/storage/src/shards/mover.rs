//! Moves buckets from shard to shard while they are used.
//!
//! 1. *Announce.* The old owner writes down from now on which rows of the buckets change,
//!    and says that they move, so that every reader asks. Then the mover waits until no
//!    process can go by anything older.
//! 2. *Copy*, bucket by bucket, and apply what has changed meanwhile, until little is left.
//! 3. *Compare* counts and checksums of both sides, at one moment of the old owner.
//! 4. *Freeze.* Writers wait. What is left is applied, the old owner gives the buckets away
//!    and the new one takes them in. If that takes too long the freeze ends by itself.
//!
//! The old owner keeps its copy, and the new one writes down what changes, so the way back
//! is as short as that list. [`Mover::clean`] ends this.
//!
//! Everything that a mover has to know is in the databases. One that is killed at any point
//! is followed by another that does the same again.

mod announce;
mod changes;
mod compare;
mod copy;
mod end;
mod status;
mod switch;

use std::{collections::BTreeMap, time::Duration};

use sqlx::PgConnection;
use tokio::time::sleep;
use trellis_api::id::Bucket;

use super::{Shards, map::arrive};
use crate::{Error, Postgres, Tx, postgres::ask};

pub use self::status::{Census, census};

/// How many buckets are frozen at once.
const CHUNK: usize = 64;
/// How long no process goes by what it has read before: the lease of its map, and then the
/// longest that a read may wait for a connection.
const SETTLE: Duration = super::map::LEASE.saturating_add(Duration::from_secs(4));
/// How often a step is tried that others are in the way of.
const ATTEMPTS: u32 = 20;
/// Held by a mover on both of its shards: the letters of "mover".
const LOCK: i64 = 0x6d_6f_76_65_72;

/// Which tables move with a bucket: those that others refer to come first. Each has the
/// column `bucket`, and it is a part of the primary key.
pub type Tables = &'static [&'static str];

/// What a mover tells of its work.
pub trait Progress {
    /// It waits this long before it may take anything away.
    fn settles(&self, wait: Duration);
    /// A bucket was copied, or was found to be the same already.
    fn copied(&self, rows: u64);
    /// So many buckets have a new owner. Their writers waited as long as this.
    fn switched(&self, buckets: usize, frozen: Duration);
}

/// What a move came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moved {
    /// How many buckets have a new owner.
    pub buckets: usize,
    /// How many rows were copied, those that changed meanwhile not counted.
    pub rows: u64,
    /// The longest time for which writers of a bucket had to wait.
    pub longest_freeze: Duration,
}

/// Why buckets were not moved. Those that were moved before stay where they are.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    #[error("there is no shard {0}")]
    NoShard(usize),
    #[error("another mover is at work on shard {0}: wait for it, or stop it")]
    Occupied(usize),
    #[error("bucket {bucket} has no owner", bucket = .0.get())]
    NoOwner(Bucket),
    #[error("bucket {bucket} moves from shard {from} to shard {to}: finish that, or abort it", bucket = .bucket.get())]
    Underway { bucket: Bucket, from: usize, to: usize },
    #[error("the copy of bucket {bucket} differs in {relation}", bucket = .bucket.get())]
    Differs { bucket: Bucket, relation: &'static str },
    #[error("writers of buckets {first} to {last} left no moment to move them", first = .0.get(), last = .1.get())]
    NoMoment(Bucket, Bucket),
    #[error(transparent)]
    Storage(#[from] Error),
}

/// Moves buckets of a service.
#[derive(Clone, Copy, Debug)]
pub struct Mover<'s> {
    shards: &'s Shards,
    tables: Tables,
    settle: Duration,
}

/// One way, from shard to shard.
struct Way<'s> {
    from: &'s Postgres,
    to: &'s Postgres,
    from_number: usize,
    to_number: usize,
    tables: Tables,
}

impl<'s> Mover<'s> {
    /// Moves `tables` from shard to shard.
    pub fn new(shards: &'s Shards, tables: Tables) -> Self {
        Self { shards, tables, settle: SETTLE }
    }

    /// Waits less before it takes anything away. What other processes read may be old then.
    #[must_use]
    pub fn settling(self, settle: Duration) -> Self {
        Self { settle, ..self }
    }

    /// Moves `buckets` to shard `to`; those that are there already stay.
    ///
    /// It may be dropped at any point. Whoever calls it again goes on.
    pub async fn run(
        &self,
        buckets: &[Bucket],
        to: usize,
        progress: &(dyn Progress + Sync),
    ) -> Result<Moved, MoveError> {
        let shards = self.shards.each();
        let target = shards.get(to).ok_or(MoveError::NoShard(to))?;
        let _held = hold(target, to).await?;
        let mut sum = Moved::default();
        for (from_number, buckets) in self.owners(buckets, to).await? {
            let from = &shards[from_number];
            let _held = hold(from, from_number).await?;
            let tables = self.tables;
            let way = Way { from, to: target, from_number, to_number: to, tables };
            for (number, shard) in shards.iter().enumerate() {
                if number != from_number && number != to {
                    shard.write(|tx| announce::outdate(tx, &buckets)).await?;
                }
            }
            way.announce(&buckets).await?;
            progress.settles(self.settle);
            sleep(self.settle).await;
            for chunk in buckets.chunks(CHUNK) {
                way.carry(chunk, progress, &mut sum).await?;
            }
        }
        Ok(sum)
    }

    /// Who has the buckets that are to go to `to`, and is not `to`.
    async fn owners(
        &self,
        buckets: &[Bucket],
        to: usize,
    ) -> Result<BTreeMap<usize, Vec<Bucket>>, MoveError> {
        let census = census(self.shards).await?;
        let mut owners: BTreeMap<usize, Vec<Bucket>> = BTreeMap::new();
        for &bucket in buckets {
            if let Some((heir, epoch)) = census.heir(bucket) {
                // A mover died between the two halves of its last step.
                let unit = |mut tx: Tx| async move { arrive(&mut tx, &[bucket], epoch).await };
                self.shards.each()[heir].write(unit).await?;
            }
            let owner = census.owner(bucket).ok_or(MoveError::NoOwner(bucket))?;
            if let Some(other) = census.goal(bucket).filter(|goal| *goal != to) {
                return Err(MoveError::Underway { bucket, from: owner, to: other });
            }
            if owner != to {
                owners.entry(owner).or_default().push(bucket);
            }
        }
        Ok(owners)
    }
}

impl Way<'_> {
    async fn carry(
        &self,
        buckets: &[Bucket],
        progress: &(dyn Progress + Sync),
        sum: &mut Moved,
    ) -> Result<(), MoveError> {
        for &bucket in buckets {
            let rows = self.copy(bucket).await?;
            sum.rows += rows;
            progress.copied(rows);
        }
        self.catch_up(buckets).await?;
        self.compare(buckets).await?;
        let frozen = self.switch(buckets).await?;
        sum.buckets += buckets.len();
        sum.longest_freeze = sum.longest_freeze.max(frozen);
        progress.switched(buckets.len(), frozen);
        Ok(())
    }
}

/// The right to move from and to a shard, as long as the connection is kept.
async fn hold(shard: &Postgres, number: usize) -> Result<PgConnection, MoveError> {
    let mut connection = shard.apart().await?;
    let held: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
        .bind(LOCK)
        .fetch_one(&mut connection)
        .await
        .map_err(Error::from)?;
    if held { Ok(connection) } else { Err(MoveError::Occupied(number)) }
}

/// Does a step again that could not get its locks, since others are at work.
async fn insist<T>(mut step: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
    let mut attempt = 1;
    loop {
        match step().await {
            Err(Error::Busy(_)) if attempt < ATTEMPTS => {
                sleep(Duration::from_millis(50).mul_f64(1.0 + rand::random::<f64>())).await;
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
}

/// What the mover writes is no change that anyone has to be told of.
async fn unseen(connection: &mut PgConnection) -> Result<(), Error> {
    ask(connection, "SET LOCAL trellis.mover = 'on'", Duration::from_secs(1)).await
}

/// The columns of the primary key.
async fn key(connection: &mut PgConnection, relation: &str) -> Result<Vec<String>, Error> {
    let columns = sqlx::query_scalar(
        "
        SELECT attribute.attname::text
          FROM pg_index
         CROSS JOIN unnest(indkey::smallint[]) WITH ORDINALITY AS part (number, place)
          JOIN pg_attribute AS attribute
            ON attrelid = indrelid
           AND attnum = part.number
         WHERE indrelid = $1::regclass
           AND indisprimary
         ORDER BY part.place
        ",
    )
    .bind(relation)
    .fetch_all(connection)
    .await?;
    Ok(columns)
}
