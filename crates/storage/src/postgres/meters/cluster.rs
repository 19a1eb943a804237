//! What a database counts that has replicas.

use trellis_telemetry::{
    Metrics,
    attributes::DB_NAMESPACE,
    metrics::{Counter, Definition, Gauge, Unit},
};

use crate::postgres::board::{Change, Ejection, Lag};

/// The label that says which server of a cluster it is, as `HOST:PORT`.
const SERVER: &str = "server";

const READS: Definition<Counter, 2> = Counter::define(
    "trellis.storage.reads",
    Unit::of("{read}"),
    "Reads that a replica may answer, by who was asked.",
    [DB_NAMESPACE, "target"],
);
const REFUSED: Definition<Counter, 1> = Counter::define(
    "trellis.storage.fallback.refusals",
    Unit::of("{read}"),
    "Reads that no replica could answer, beyond what the primary takes of them.",
    [DB_NAMESPACE],
);
const EJECTIONS: Definition<Counter, 3> = Counter::define(
    "trellis.storage.replica.ejections",
    Unit::of("{ejection}"),
    "How often a replica was taken out, and why.",
    [DB_NAMESPACE, SERVER, "reason"],
);
const LAG_TIME: Definition<Gauge, 2> = Gauge::define(
    "trellis.storage.replica.delay",
    Unit::SECONDS,
    "How long ago the primary had what a replica does not have yet.",
    [DB_NAMESPACE, SERVER],
);
const LAG_BYTES: Definition<Gauge, 2> = Gauge::define(
    "trellis.storage.replica.lag",
    Unit::BYTES,
    "How much of the primary's log a replica does not have yet.",
    [DB_NAMESPACE, SERVER],
);
const USABLE: Definition<Gauge, 2> = Gauge::define(
    "trellis.storage.replica.usable",
    Unit::of("{replica}"),
    "Whether a replica is read from.",
    [DB_NAMESPACE, SERVER],
);
const PRIMARY: Definition<Gauge, 1> = Gauge::define(
    "trellis.storage.primary.known",
    Unit::of("{server}"),
    "Whether it is known which server takes writes.",
    [DB_NAMESPACE],
);
const FAILOVERS: Definition<Counter, 1> = Counter::define(
    "trellis.storage.failovers",
    Unit::of("{failover}"),
    "How often another server became the primary.",
    [DB_NAMESPACE],
);

/// Those of a database that has replicas.
#[derive(Debug)]
pub(in crate::postgres) struct ClusterMeters {
    /// Ejections are rare enough to be looked for.
    metrics: Metrics,
    name: Box<str>,
    /// By whether a replica was asked.
    reads: [Counter; 2],
    refused: Counter,
    servers: Vec<ReplicaMeters>,
    primary: Gauge,
    failovers: Counter,
}

#[derive(Debug)]
struct ReplicaMeters {
    time: Gauge,
    bytes: Gauge,
    usable: Gauge,
}

impl ClusterMeters {
    pub(in crate::postgres) fn new(metrics: &Metrics, name: &str, places: &[String]) -> Self {
        let servers = places.iter().map(|place| ReplicaMeters {
            time: metrics.get(&LAG_TIME, [name, place]),
            bytes: metrics.get(&LAG_BYTES, [name, place]),
            usable: metrics.get(&USABLE, [name, place]),
        });
        Self {
            reads: ["primary", "replica"].map(|target| metrics.get(&READS, [name, target])),
            refused: metrics.get(&REFUSED, [name]),
            servers: servers.collect(),
            primary: metrics.get(&PRIMARY, [name]),
            failovers: metrics.get(&FAILOVERS, [name]),
            metrics: metrics.clone(),
            name: name.into(),
        }
    }

    pub(in crate::postgres) fn read(&self, from_replica: bool) {
        self.reads[usize::from(from_replica)].increment();
    }

    pub(in crate::postgres) fn refused(&self) {
        self.refused.increment();
    }

    pub(in crate::postgres) fn primary(&self, is_known: bool) {
        self.primary.set_count(u64::from(is_known));
    }

    /// A server was asked.
    pub(in crate::postgres) fn heard(&self, server: usize, lag: Lag, is_usable: bool) {
        let meters = &self.servers[server];
        meters.time.set(lag.time.as_secs_f64());
        meters.bytes.set_count(lag.bytes);
        meters.usable.set_count(u64::from(is_usable));
    }

    pub(in crate::postgres) fn changed(&self, place: &str, change: Change) {
        match change {
            Change::Ejected(cause) => {
                let labels = [&*self.name, place, word(cause)];
                self.metrics.get(&EJECTIONS, labels).increment();
            }
            Change::Reinstated => {}
            Change::FailedOver => self.failovers.increment(),
        }
    }
}

fn word(cause: Ejection) -> &'static str {
    match cause {
        Ejection::Unreachable => "unreachable",
        Ejection::Lag => "lag",
        Ejection::Timeline => "timeline",
    }
}
