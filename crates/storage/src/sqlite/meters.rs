//! What a SQLite database counts beside what every database does.

use std::{
    fs,
    path::Path,
    sync::{Arc, Weak},
    time::Duration,
};

use quanta::Instant;
use trellis_telemetry::{
    Metrics,
    attributes::DB_NAMESPACE,
    metrics::{Definition, Gauge, Histogram, Unit},
};

use super::{Shared, writer::Writer};
use crate::meters::{Operations, PoolMeters};

/// The value of `db.system.name`.
pub(super) const SYSTEM: &str = "sqlite";

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

/// The handles of one database, taken when it is opened.
#[derive(Debug)]
pub(super) struct Meters {
    pub(super) operations: Operations,
    /// Of the connections that read, and of the one that writes.
    readers: PoolMeters,
    writer: Option<PoolMeters>,
    commit: Histogram,
    units: Histogram,
}

impl Meters {
    /// `readers` is how many connections may read at once.
    pub(super) fn new(metrics: &Metrics, path: &Path, readers: usize, writes: bool) -> Self {
        let namespace = namespace(path);
        Self {
            readers: PoolMeters::new(metrics, &format!("{namespace}.readers"), readers),
            writer: writes.then(|| PoolMeters::new(metrics, &format!("{namespace}.writer"), 1)),
            commit: metrics.get(&COMMIT, [&namespace]),
            units: metrics.get(&UNITS, [&namespace]),
            operations: Operations::new(metrics, SYSTEM, namespace),
        }
    }

    /// Without `since` there was no wait. A clock that is not read is a part of what a
    /// look-up saves.
    pub(super) fn waited_for_reader(&self, since: Option<Instant>) {
        let waited = since.map(|since| self.operations.since(since)).unwrap_or_default();
        self.readers.waited(waited);
    }

    pub(super) fn waited_for_writer(&self, since: Instant) {
        if let Some(writer) = &self.writer {
            writer.waited(self.operations.since(since));
        }
    }

    pub(super) fn committed(&self, units: usize, took: Duration) {
        self.commit.record_duration(took);
        // A batch is far smaller than what fits.
        self.units.record(u32::try_from(units).map_or(f64::INFINITY, f64::from));
    }

    /// Has connections and files looked at before each reading of the metrics, as long
    /// as `shared` is there; this does not keep it.
    pub(super) fn watch(self: &Arc<Self>, shared: &Arc<Shared>) {
        let metrics = self.operations.metrics();
        let size = |file| metrics.get(&SIZE, [&self.operations.namespace, file]);
        let files = [size("database"), size("log")];
        let (meters, shared) = (Arc::clone(self), Arc::downgrade(shared));
        metrics.before_reading(move || meters.look(&shared, &files));
    }

    /// A database that is gone has no connections, and keeps its last sizes.
    fn look(&self, shared: &Weak<Shared>, [database, log]: &[Gauge; 2]) {
        let shared = shared.upgrade();
        let shared = shared.as_deref();
        self.readers.set(shared.map(|shared| shared.readers.pool()).unwrap_or_default());
        if let Some(writer) = &self.writer {
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
}

/// What a database is called: its file's name without `.db`.
pub(super) fn namespace(path: &Path) -> Box<str> {
    path.file_stem().unwrap_or_default().to_string_lossy().into()
}
