//! What a Postgres database counts.

use std::sync::Arc;

use quanta::Instant;
use sqlx::PgPool;
use trellis_telemetry::Metrics;

use super::turns::Turns;
use crate::{
    PostgresUrl,
    meters::{Operations, PoolMeters},
};

/// The value of `db.system.name`.
const SYSTEM: &str = "postgresql";

/// The handles of one database, taken when it is opened.
#[derive(Debug)]
pub(super) struct Meters {
    pub(super) operations: Operations,
    connections: PoolMeters,
}

impl Meters {
    /// Has the connections looked at before each reading of the metrics.
    pub(super) fn new(
        metrics: &Metrics,
        url: &PostgresUrl,
        pool: &PgPool,
        turns: &Turns,
    ) -> Arc<Self> {
        let name = url.options().get_database().unwrap_or_default().to_owned();
        let max = pool.options().get_max_connections() as usize;
        let meters = Arc::new(Self {
            connections: PoolMeters::new(metrics, &name, max),
            operations: Operations::new(metrics, SYSTEM, name.into()),
        });
        let (seen, pool, turns) = (Arc::clone(&meters), pool.clone(), turns.clone());
        metrics.before_reading(move || seen.connections.set(turns.look(&pool)));
        meters
    }

    pub(super) fn waited(&self, since: Instant) {
        self.connections.waited(self.operations.since(since));
    }
}
