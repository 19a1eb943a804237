//! Which shard has which bucket, as far as this process knows.
//!
//! What a shard said is believed for a second: long enough to cost nothing, and shorter
//! than the time that a mover waits before it takes a bucket away.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use trellis_api::id::{BUCKETS, Bucket};

use super::state::State;
use crate::{Error, Postgres, Tx, postgres::Door};

/// From this age on somebody asks again, while others go on with the old answer.
const FRESH: Duration = Duration::from_millis(500);
/// From this age on nobody goes by it.
pub(super) const LEASE: Duration = Duration::from_secs(1);

/// What all shards said last.
pub(super) struct Map {
    views: Vec<View>,
}

/// Where a bucket is read and written.
pub(super) struct Route {
    /// The place in the list of databases.
    pub(super) shard: usize,
    /// Whether it is about to leave, so that reads have to ask.
    pub(super) is_moving: bool,
}

struct View {
    shard: Postgres,
    seen: Mutex<Option<Arc<Seen>>>,
    /// Of whoever asks.
    turn: tokio::sync::Mutex<()>,
}

struct Seen {
    asked: Instant,
    revision: i64,
    buckets: Arc<[Option<Standing>]>,
}

/// How a shard stands to a bucket that it has, or has had.
#[derive(Clone, Copy, Debug)]
struct Standing {
    state: State,
    epoch: i64,
    peer: Option<usize>,
}

impl Map {
    pub(super) fn new(shards: &[Postgres]) -> Self {
        let view = |shard: &Postgres| View {
            shard: shard.clone(),
            seen: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        };
        Self { views: shards.iter().map(view).collect() }
    }

    /// Everything has to be asked for again.
    pub(super) fn forget(&self) {
        for view in &self.views {
            *view.lock() = None;
        }
    }

    pub(super) async fn route(&self, bucket: Bucket) -> Result<Route, Error> {
        // Only the owner need be asked again, as long as it is known.
        if let Some(route) = self.known(bucket).await? {
            return Ok(route);
        }
        let mut unknown = None;
        for view in &self.views {
            unknown = view.fresh().await.err().or(unknown);
        }
        if let Some(route) = self.known(bucket).await? {
            return Ok(route);
        }
        if self.adopt(bucket).await? {
            return Err(elsewhere(bucket));
        }
        Err(unknown.unwrap_or_else(|| elsewhere(bucket)))
    }

    /// The way to the last known owner, if it still says so.
    async fn known(&self, bucket: Bucket) -> Result<Option<Route>, Error> {
        let Some(shard) = self.owner(bucket) else { return Ok(None) };
        let standing = self.views[shard].fresh().await?.standing(bucket);
        Ok(standing.and_then(|standing| standing.route(shard)))
    }

    /// The shard that had the bucket when it was asked last, however long ago.
    fn owner(&self, bucket: Bucket) -> Option<usize> {
        let owners = self.views.iter().enumerate().filter_map(|(shard, view)| {
            let standing = view.seen()?.standing(bucket)?;
            standing.state.is_owner().then_some((standing.epoch, shard))
        });
        owners.max().map(|(_, shard)| shard)
    }

    /// A mover that dies between the two halves of its last step leaves a bucket that was
    /// given away and has not arrived. All of it is there, so anybody may say so.
    async fn adopt(&self, bucket: Bucket) -> Result<bool, Error> {
        for (number, view) in self.views.iter().enumerate() {
            let standing = |view: &View| view.seen()?.standing(bucket);
            let Some(Standing { state: State::Given, epoch, peer: Some(peer) }) = standing(view)
            else {
                continue;
            };
            let Some(heir) = self.views.get(peer) else { continue };
            let arrives = standing(heir).is_some_and(|standing| {
                standing.state == State::Arriving && standing.peer == Some(number)
            });
            if arrives {
                let unit = |mut tx: Tx| async move { arrive(&mut tx, &[bucket], epoch).await };
                heir.shard.write_behind(Door::Open, &unit).await?.result?;
                tracing::warn!(
                    bucket = bucket.get(),
                    shard = peer,
                    "a bucket was left without owner, and taken in"
                );
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The second half of a move: the new owner begins.
pub(super) async fn arrive(
    tx: &mut sqlx::PgConnection,
    buckets: &[Bucket],
    epoch: i64,
) -> Result<(), Error> {
    let arrived = sqlx::query(
        "
        UPDATE shard_buckets
           SET state = 'owned', peer = NULL, epoch = $2
         WHERE bucket = ANY ($1)
           AND state = 'arriving'
        ",
    )
    .bind(numbers(buckets))
    .bind(epoch)
    .execute(&mut *tx)
    .await?;
    if 0 < arrived.rows_affected() {
        revise(tx).await?;
    }
    Ok(())
}

/// Tells those who look that something has changed.
pub(super) async fn revise(tx: &mut sqlx::PgConnection) -> Result<(), Error> {
    sqlx::query("UPDATE shard SET revision = revision + 1").execute(tx).await?;
    Ok(())
}

/// As the columns have them.
pub(super) fn numbers(buckets: &[Bucket]) -> Vec<i16> {
    buckets.iter().map(|bucket| bucket.get().cast_signed()).collect()
}

/// The place in the list of databases that a column says.
pub(super) fn shard_number(column: i16) -> usize {
    usize::from(column.cast_unsigned())
}

fn elsewhere(bucket: Bucket) -> Error {
    let message = format!("no shard has bucket {}", bucket.get());
    Error::Elsewhere(Arc::from(Box::<dyn std::error::Error + Send + Sync>::from(message)))
}

impl View {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Seen>>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> Option<Arc<Seen>> {
        self.lock().clone()
    }

    fn younger_than(&self, age: Duration) -> Option<Arc<Seen>> {
        self.seen().filter(|seen| seen.asked.elapsed() < age)
    }

    /// What the shard said within the lease.
    async fn fresh(&self) -> Result<Arc<Seen>, Error> {
        if let Some(seen) = self.younger_than(FRESH) {
            return Ok(seen);
        }
        let turn = match (self.turn.try_lock(), self.younger_than(LEASE)) {
            (Ok(turn), _) => turn,
            (Err(_), Some(seen)) => return Ok(seen),
            (Err(_), None) => self.turn.lock().await,
        };
        if let Some(seen) = self.younger_than(FRESH) {
            return Ok(seen);
        }
        let looked = self.look().await;
        drop(turn);
        match (looked, self.younger_than(LEASE)) {
            (Ok(seen), _) | (Err(_), Some(seen)) => Ok(seen),
            (Err(error), None) => Err(error),
        }
    }

    async fn look(&self) -> Result<Arc<Seen>, Error> {
        let asked = Instant::now();
        let known = self.seen();
        let revision = self.shard.look_up(revision).await?;
        let buckets = match known {
            Some(seen) if seen.revision == revision => Arc::clone(&seen.buckets),
            // It may be newer than the revision, which is asked for again soon.
            _ => {
                let standings = self.shard.look_up(standings).await?;
                // Nobody reads what came with a bucket from a replica that lacks it.
                self.shard.raise_floor().await?;
                standings
            }
        };
        let seen = Arc::new(Seen { asked, revision, buckets });
        *self.lock() = Some(Arc::clone(&seen));
        Ok(seen)
    }
}

impl Seen {
    fn standing(&self, bucket: Bucket) -> Option<Standing> {
        self.buckets[usize::from(bucket.get())]
    }
}

impl Standing {
    fn route(self, shard: usize) -> Option<Route> {
        let is_moving = self.state != State::Owned;
        self.state.is_owner().then_some(Route { shard, is_moving })
    }
}

async fn revision(mut tx: Tx) -> Result<i64, Error> {
    Ok(sqlx::query_scalar("SELECT revision FROM shard").fetch_one(&mut *tx).await?)
}

async fn standings(mut tx: Tx) -> Result<Arc<[Option<Standing>]>, Error> {
    let rows: Vec<(i16, String, i64, Option<i16>)> =
        sqlx::query_as("SELECT bucket, state, epoch, peer FROM shard_buckets")
            .fetch_all(&mut *tx)
            .await?;
    let mut standings = vec![None; usize::from(BUCKETS)];
    for (bucket, state, epoch, peer) in rows {
        let (state, peer) = (State::parse(&state)?, peer.map(shard_number));
        standings[usize::from(bucket.cast_unsigned())] = Some(Standing { state, epoch, peer });
    }
    Ok(standings.into())
}
