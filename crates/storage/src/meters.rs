//! What every database counts, by OpenTelemetry's names for clients of databases.
//!
//! What can be looked up, such as how many connections are in use, is looked up when
//! somebody reads the metrics and costs units of work nothing.

use std::time::Duration;

use opentelemetry_semantic_conventions::{
    attribute::{DB_CLIENT_CONNECTION_POOL_NAME, DB_CLIENT_CONNECTION_STATE},
    metric::{
        DB_CLIENT_CONNECTION_COUNT, DB_CLIENT_CONNECTION_MAX,
        DB_CLIENT_CONNECTION_PENDING_REQUESTS, DB_CLIENT_CONNECTION_WAIT_TIME,
        DB_CLIENT_OPERATION_DURATION,
    },
};
use quanta::Instant;
use trellis_telemetry::{
    Metrics,
    attributes::{DB_NAMESPACE, DB_OPERATION_NAME, DB_SYSTEM_NAME, ERROR_TYPE},
    metrics::{Definition, Gauge, Histogram, Unit},
};

const OPERATION: Definition<Histogram, 4> = Histogram::seconds(
    DB_CLIENT_OPERATION_DURATION,
    "How long units of work took, with their waits and the commit.",
    [DB_SYSTEM_NAME, DB_NAMESPACE, DB_OPERATION_NAME, ERROR_TYPE],
);
const WAIT: Definition<Histogram, 1> = Histogram::seconds(
    DB_CLIENT_CONNECTION_WAIT_TIME,
    "How long units of work waited for a connection.",
    [DB_CLIENT_CONNECTION_POOL_NAME],
);
const CONNECTIONS: Definition<Gauge, 2> = Gauge::define(
    DB_CLIENT_CONNECTION_COUNT,
    Unit::of("{connection}"),
    "Connections by what they do.",
    [DB_CLIENT_CONNECTION_POOL_NAME, DB_CLIENT_CONNECTION_STATE],
);
const MAX: Definition<Gauge, 1> = Gauge::define(
    DB_CLIENT_CONNECTION_MAX,
    Unit::of("{connection}"),
    "How many connections there may be.",
    [DB_CLIENT_CONNECTION_POOL_NAME],
);
const PENDING: Definition<Gauge, 1> = Gauge::define(
    DB_CLIENT_CONNECTION_PENDING_REQUESTS,
    Unit::of("{request}"),
    "Units of work that wait for a connection.",
    [DB_CLIENT_CONNECTION_POOL_NAME],
);

/// What is done with a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Write,
    Read,
    LookUp,
}

/// The handles of one database, taken when it is opened.
#[derive(Debug)]
pub(crate) struct Operations {
    /// The value of `db.system.name`.
    pub(crate) system: &'static str,
    pub(crate) namespace: Box<str>,
    /// Of successes, by [`Kind`].
    done: [Histogram; 3],
    /// Failures are rare enough to be looked for.
    metrics: Metrics,
    /// Twice as fast as the system's, which two readings of would be most of the cost.
    clock: quanta::Clock,
}

/// The connections of one sort.
#[derive(Debug)]
pub(crate) struct PoolMeters {
    wait: Histogram,
    used: Gauge,
    idle: Gauge,
    pending: Gauge,
}

/// What the connections of one sort do at the moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pool {
    pub(crate) used: usize,
    pub(crate) idle: usize,
    /// Units of work that wait.
    pub(crate) pending: usize,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::LookUp => "look_up",
        }
    }
}

impl Operations {
    pub(crate) fn new(metrics: &Metrics, system: &'static str, namespace: Box<str>) -> Self {
        let done = [Kind::Write, Kind::Read, Kind::LookUp]
            .map(|kind| metrics.get(&OPERATION, [system, &namespace, kind.name(), ""]));
        Self { system, namespace, done, metrics: metrics.clone(), clock: quanta::Clock::new() }
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(crate) fn since(&self, began: Instant) -> Duration {
        self.now().saturating_duration_since(began)
    }

    /// Counts an operation that is over.
    pub(crate) fn count(&self, kind: Kind, began: Instant, failure: Option<&'static str>) {
        let took = self.since(began);
        match failure {
            None => self.done[kind as usize].record_duration(took),
            Some(failure) => {
                let labels = [self.system, &*self.namespace, kind.name(), failure];
                self.metrics.get(&OPERATION, labels).record_duration(took);
            }
        }
    }
}

impl PoolMeters {
    /// Those of pool `name`, of which there may be `max` connections.
    pub(crate) fn new(metrics: &Metrics, name: &str, max: usize) -> Self {
        metrics.get(&MAX, [name]).set_count(max);
        Self {
            wait: metrics.get(&WAIT, [name]),
            used: metrics.get(&CONNECTIONS, [name, "used"]),
            idle: metrics.get(&CONNECTIONS, [name, "idle"]),
            pending: metrics.get(&PENDING, [name]),
        }
    }

    pub(crate) fn waited(&self, how_long: Duration) {
        self.wait.record_duration(how_long);
    }

    pub(crate) fn set(&self, pool: Pool) {
        self.used.set_count(pool.used);
        self.idle.set_count(pool.idle);
        self.pending.set_count(pool.pending);
    }
}
