//! What a Postgres database counts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sqlx::{PgPool, Postgres, pool::PoolConnection};
use trellis_telemetry::Metrics;

use super::Shared;
use crate::{
    Error, PostgresUrl,
    meters::{Operations, Pool, PoolMeters},
};

/// The value of `db.system.name`.
const SYSTEM: &str = "postgresql";

/// The handles of one database, taken when it is opened.
#[derive(Debug)]
pub(super) struct Meters {
    pub(super) operations: Operations,
    connections: PoolMeters,
    max: usize,
    waiting: AtomicUsize,
    used: AtomicUsize,
}

impl Meters {
    /// Has the connections looked at before each reading of the metrics.
    pub(super) fn new(metrics: &Metrics, url: &PostgresUrl, pool: &PgPool) -> Arc<Self> {
        let name = url.options().get_database().unwrap_or_default().to_owned();
        let max = pool.options().get_max_connections() as usize;
        let meters = Arc::new(Self {
            connections: PoolMeters::new(metrics, &name, max),
            operations: Operations::new(metrics, SYSTEM, name.into()),
            max,
            waiting: AtomicUsize::new(0),
            used: AtomicUsize::new(0),
        });
        let (seen, pool) = (Arc::clone(&meters), pool.clone());
        metrics.before_reading(move || {
            let used = seen.used.load(Ordering::Relaxed);
            let pending = seen.waiting.load(Ordering::Relaxed);
            seen.connections.set(Pool { used, idle: pool.num_idle(), pending });
        });
        meters
    }
}

/// Somebody who waits for a connection.
struct Waiting<'m>(&'m Meters);

/// Somebody who has a connection.
#[derive(Debug)]
pub(super) struct Using(Arc<Meters>);

impl<'m> Waiting<'m> {
    fn new(meters: &'m Meters) -> Self {
        meters.waiting.fetch_add(1, Ordering::Relaxed);
        Self(meters)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Using {
    fn new(meters: &Arc<Meters>) -> Self {
        meters.used.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(meters))
    }
}

impl Drop for Using {
    fn drop(&mut self) {
        self.0.used.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    /// A free connection, for which a unit waits no longer than for its statements.
    pub(super) async fn acquire(
        &self,
        limit: Duration,
    ) -> Result<(PoolConnection<Postgres>, Using), Error> {
        let began = self.meters.operations.now();
        let waiting = Waiting::new(&self.meters);
        let acquired = tokio::time::timeout(limit, self.pool.acquire()).await;
        drop(waiting);
        self.meters.connections.waited(self.meters.operations.since(began));
        match acquired {
            Ok(Ok(connection)) => Ok((connection, Using::new(&self.meters))),
            Ok(Err(sqlx::Error::PoolTimedOut)) | Err(_) => Err(self.why_none()),
            Ok(Err(error)) => Err(error.into()),
        }
    }

    /// None came free, or none could be made.
    fn why_none(&self) -> Error {
        let is_full = self.meters.max <= self.meters.used.load(Ordering::Relaxed);
        if is_full { Error::Overloaded } else { Error::Lost(None) }
    }
}
