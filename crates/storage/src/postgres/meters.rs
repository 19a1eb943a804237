//! What a Postgres database counts.

use std::sync::Arc;

use quanta::Instant;
use sqlx::PgPool;
use trellis_telemetry::Metrics;

use super::Shared;
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
    connections: Arc<PoolMeters>,
}

impl Meters {
    pub(super) fn new(metrics: &Metrics, url: &PostgresUrl, pool: &PgPool) -> Self {
        let name = url.options().get_database().unwrap_or_default().to_owned();
        let max = pool.options().get_max_connections() as usize;
        Self {
            connections: Arc::new(PoolMeters::new(metrics, &name, max)),
            operations: Operations::new(metrics, SYSTEM, name.into()),
        }
    }

    /// Has the connections looked at before each reading of the metrics, as long as
    /// `shared` is there; this does not keep it. One that is gone has no connections.
    pub(super) fn watch(&self, shared: &Arc<Shared>) {
        let (connections, shared) = (Arc::clone(&self.connections), Arc::downgrade(shared));
        self.operations.metrics().before_reading(move || {
            let look = |shared: Arc<Shared>| shared.turns.look(&shared.pool);
            connections.set(shared.upgrade().map(look).unwrap_or_default());
        });
    }

    pub(super) fn waited(&self, since: Instant) {
        self.connections.waited(self.operations.since(since));
    }
}
