//! What a database counts, by OpenTelemetry's names for clients of databases.
//!
//! What can be looked up, such as how many connections are in use, is looked up when
//! somebody reads the metrics and costs units of work nothing.

use std::{
    fs,
    path::Path,
    sync::{Arc, Weak},
    time::Duration,
};

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

use super::{Shared, writer::Writer};

/// The value of `db.system.name`.
pub(super) const SYSTEM: &str = "sqlite";

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
const COMMIT: Definition<Histogram, 1> = Histogram::seconds(
    "trellis.storage.commit.duration",
    "How long commits that changed something took, with the wait for the disk.",
    [DB_NAMESPACE],
);
const UNITS: Definition<Histogram, 1> = Histogram::define(
    "trellis.storage.commit.units",
    Unit::of("{unit}"),
    "How many units of work shared a commit that changed something.",
    &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0],
    [DB_NAMESPACE],
);
const SIZE: Definition<Gauge, 2> = Gauge::define(
    "trellis.storage.size",
    Unit::BYTES,
    "The sizes of a database's files.",
    [DB_NAMESPACE, "file"],
);

/// What is done with a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Write,
    Read,
    LookUp,
}

/// The handles of one database, taken when it is opened.
#[derive(Debug)]
pub(super) struct Meters {
    pub(super) namespace: Box<str>,
    /// Of successes, by [`Kind`].
    done: [Histogram; 3],
    /// Waits for a connection that reads, and for the one that writes.
    reader_wait: Histogram,
    writer_wait: Histogram,
    commit: Histogram,
    units: Histogram,
    /// Failures are rare enough to be looked for.
    metrics: Metrics,
    /// Twice as fast as the system's, which two readings of would be most of the cost.
    clock: quanta::Clock,
}

/// What the connections of one sort do at the moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pool {
    pub(super) used: usize,
    pub(super) idle: usize,
    /// Units of work that wait.
    pub(super) pending: usize,
}

struct PoolGauges {
    used: Gauge,
    idle: Gauge,
    pending: Gauge,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::LookUp => "look_up",
        }
    }
}

impl Meters {
    pub(super) fn new(metrics: &Metrics, path: &Path) -> Self {
        let namespace = namespace(path);
        let done = [Kind::Write, Kind::Read, Kind::LookUp]
            .map(|kind| metrics.get(&OPERATION, [SYSTEM, &namespace, kind.name(), ""]));
        Self {
            done,
            reader_wait: metrics.get(&WAIT, [&readers_of(&namespace)]),
            writer_wait: metrics.get(&WAIT, [&writer_of(&namespace)]),
            commit: metrics.get(&COMMIT, [&namespace]),
            units: metrics.get(&UNITS, [&namespace]),
            metrics: metrics.clone(),
            clock: quanta::Clock::new(),
            namespace,
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Counts an operation that is over.
    pub(super) fn count(&self, kind: Kind, began: Instant, failure: Option<&'static str>) {
        let took = self.since(began);
        match failure {
            None => self.done[kind as usize].record_duration(took),
            Some(failure) => {
                let labels = [SYSTEM, &*self.namespace, kind.name(), failure];
                self.metrics.get(&OPERATION, labels).record_duration(took);
            }
        }
    }

    /// Without `since` there was no wait. A clock that is not read is a part of what a
    /// look-up saves.
    pub(super) fn waited_for_reader(&self, since: Option<Instant>) {
        let waited = since.map(|since| self.since(since)).unwrap_or_default();
        self.reader_wait.record_duration(waited);
    }

    pub(super) fn waited_for_writer(&self, since: Instant) {
        self.writer_wait.record_duration(self.since(since));
    }

    fn since(&self, began: Instant) -> Duration {
        self.now().saturating_duration_since(began)
    }

    pub(super) fn committed(&self, units: usize, took: Duration) {
        self.commit.record_duration(took);
        // A batch is far smaller than what fits.
        self.units.record(u32::try_from(units).map_or(f64::INFINITY, f64::from));
    }

    /// Has connections and files looked at before each reading of the metrics, as long
    /// as `shared` is there; this does not keep it.
    pub(super) fn watch(&self, shared: &Arc<Shared>) {
        let readers = PoolGauges::new(&self.metrics, &readers_of(&self.namespace));
        self.max(&readers_of(&self.namespace), shared.readers.count());
        let writer = shared.writer.is_some().then(|| {
            self.max(&writer_of(&self.namespace), 1);
            PoolGauges::new(&self.metrics, &writer_of(&self.namespace))
        });
        let size = |file| self.metrics.get(&SIZE, [&self.namespace, file]);
        let files = [size("database"), size("log")];
        let shared = Arc::downgrade(shared);
        self.metrics.before_reading(move || look(&shared, &readers, writer.as_ref(), &files));
    }

    fn max(&self, pool: &str, max: usize) {
        self.metrics.get(&MAX, [pool]).set_count(max);
    }
}

/// A database that is gone has no connections, and keeps its last sizes.
fn look(
    shared: &Weak<Shared>,
    readers: &PoolGauges,
    writer: Option<&PoolGauges>,
    [database, log]: &[Gauge; 2],
) {
    let shared = shared.upgrade();
    let shared = shared.as_deref();
    readers.set(shared.map(|shared| shared.readers.pool()).unwrap_or_default());
    if let Some(writer) = writer {
        let open = shared.and_then(|shared| shared.writer.as_ref());
        writer.set(open.map(Writer::pool).unwrap_or_default());
    }
    let Some(shared) = shared else { return };
    let size = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    database.set_count(size(&shared.path));
    // SQLite's own name for it; there is none while nobody writes.
    let mut path = shared.path.clone().into_os_string();
    path.push("-wal");
    log.set_count(size(path.as_ref()));
}

impl PoolGauges {
    fn new(metrics: &Metrics, pool: &str) -> Self {
        Self {
            used: metrics.get(&CONNECTIONS, [pool, "used"]),
            idle: metrics.get(&CONNECTIONS, [pool, "idle"]),
            pending: metrics.get(&PENDING, [pool]),
        }
    }

    fn set(&self, pool: Pool) {
        self.used.set_count(pool.used);
        self.idle.set_count(pool.idle);
        self.pending.set_count(pool.pending);
    }
}

/// What a database is called: its file's name without `.db`.
pub(super) fn namespace(path: &Path) -> Box<str> {
    path.file_stem().unwrap_or_default().to_string_lossy().into()
}

fn readers_of(namespace: &str) -> String {
    format!("{namespace}.readers")
}

fn writer_of(namespace: &str) -> String {
    format!("{namespace}.writer")
}
