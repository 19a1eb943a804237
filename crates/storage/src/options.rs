//! How databases are opened.

use trellis_telemetry::Metrics;

use crate::Faults;

/// How a database is opened.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How many queries of a SQLite file run at once, each on a connection of its own;
    /// 0 means 4.
    pub readers: usize,
    /// How many connections to each Postgres server there may be; 0 means 10.
    pub connections: u32,
    /// Which shard of a service's database it is, where there are several: each has a
    /// consistency token of its own.
    pub shard: u32,
    pub faults: Faults,
    /// Opens beside a running server: takes no lock, changes nothing, and
    /// refuses writes.
    pub read_only: bool,
    /// Where it counts, under the name of its database: that of Postgres, or of the
    /// file without `.db`. By default a registry of its own that nobody reads.
    pub metrics: Metrics,
}
