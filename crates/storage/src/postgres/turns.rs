//! Who may have a connection, in the order in which they came.
//!
//! The pool behind has as many connections, so whoever has a turn waits only for one to be
//! made: that no turn comes free and that no server answers are told apart.

use std::{sync::Arc, time::Duration};

use sqlx::{PgPool, Postgres, pool::PoolConnection};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::cluster::Server;
use crate::{Error, meters::Pool};

/// How many units may wait.
const QUEUE: usize = 4_096;
/// How long a unit waits at the most. Its caller may have less time.
const WAIT: Duration = Duration::from_secs(2);

#[derive(Clone, Debug)]
pub(super) struct Turns {
    count: usize,
    entry: Arc<Semaphore>,
    free: Arc<Semaphore>,
}

/// A connection may be had as long as this is kept.
pub(super) type Turn = OwnedSemaphorePermit;

impl Turns {
    pub(super) fn new(count: u32) -> Self {
        let count = count as usize;
        let (entry, free) = (Semaphore::new(count + QUEUE), Semaphore::new(count));
        Self { count, entry: Arc::new(entry), free: Arc::new(free) }
    }

    async fn next(&self, limit: Duration) -> Result<(Turn, Turn), Error> {
        let entry = Arc::clone(&self.entry).try_acquire_owned().map_err(|_| Error::Overloaded)?;
        let turn = timeout(limit.min(WAIT), Arc::clone(&self.free).acquire_owned()).await;
        let turn = turn.map_err(|_| Error::Overloaded)?.map_err(|_| Error::Closed)?;
        Ok((entry, turn))
    }

    /// What the connections of `pool` do.
    pub(super) fn look(&self, pool: &PgPool) -> Pool {
        let used = self.count.saturating_sub(self.free.available_permits());
        let all = (self.count + QUEUE).saturating_sub(self.entry.available_permits());
        Pool { used, idle: pool.num_idle(), pending: all.saturating_sub(used) }
    }
}

impl Server {
    /// A connection and the right to it, for which a unit waits no longer than for its
    /// statements, nor after the server turned out to be of no use to it.
    pub(super) async fn acquire(
        &self,
        limit: Duration,
        as_primary: bool,
    ) -> Result<(PoolConnection<Postgres>, (Turn, Turn)), Error> {
        tokio::select! {
            biased;
            acquired = self.acquired(limit) => acquired,
            () = self.useless(as_primary) => Err(Error::Lost(None)),
        }
    }

    async fn acquired(
        &self,
        limit: Duration,
    ) -> Result<(PoolConnection<Postgres>, (Turn, Turn)), Error> {
        let began = self.meters.now();
        let turn = self.turns.next(limit).await?;
        let acquired = timeout(limit, self.pool.acquire()).await;
        self.meters.waited(began);
        match acquired {
            Ok(Err(sqlx::Error::PoolTimedOut)) | Err(_) => Err(Error::Lost(None)),
            Ok(acquired) => Ok((acquired?, turn)),
        }
    }
}
