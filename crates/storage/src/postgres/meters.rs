//! What a Postgres database counts.

mod cluster;

use std::{
    fmt,
    sync::{Arc, Weak},
};

use quanta::{Clock, Instant};
use trellis_telemetry::Metrics;

use super::Shared;
use crate::meters::{Operations, Pool, PoolMeters};

pub(super) use cluster::ClusterMeters;

/// The value of `db.system.name`.
const SYSTEM: &str = "postgresql";
/// The handles of one database, taken when it is opened.
#[derive(Debug)]
pub(super) struct Meters {
    pub(super) operations: Operations,
}

impl Meters {
    pub(super) fn new(metrics: &Metrics, name: String) -> Self {
        Self { operations: Operations::new(metrics, SYSTEM, name.into()) }
    }

    /// Has the connections looked at before each reading of the metrics, as long as
    /// `shared` is there; this does not keep it. One that is gone has no connections.
    pub(super) fn watch(&self, shared: &Arc<Shared>) {
        for (server, known) in shared.cluster.servers.iter().enumerate() {
            let (connections, shared) =
                (Arc::clone(&known.meters.connections), Arc::downgrade(shared));
            self.operations
                .metrics()
                .before_reading(move || connections.set(look(&shared, server).unwrap_or_default()));
        }
    }
}

fn look(shared: &Weak<Shared>, server: usize) -> Option<Pool> {
    let shared = shared.upgrade()?;
    let server = &shared.cluster.servers[server];
    Some(server.turns.look(&server.pool))
}

/// Those of the connections to one server.
pub(super) struct ServerMeters {
    connections: Arc<PoolMeters>,
    clock: Clock,
}

impl ServerMeters {
    pub(super) fn new(metrics: &Metrics, pool: &str, max: usize) -> Self {
        let connections = Arc::new(PoolMeters::new(metrics, pool, max));
        Self { connections, clock: Clock::new() }
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(super) fn waited(&self, since: Instant) {
        self.connections.waited(self.now().saturating_duration_since(since));
    }
}

impl fmt::Debug for ServerMeters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connections.fmt(formatter)
    }
}
