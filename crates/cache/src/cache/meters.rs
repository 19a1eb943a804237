//! What a cache counts.

use std::time::Duration;

use trellis_telemetry::Metrics;
use trellis_telemetry::metrics::{Counter, Definition, Gauge, Histogram, Unit};

const READ: Unit = Unit::of("{read}");

const HITS: Definition<Counter, 2> = Counter::define(
    "trellis.cache.hits",
    READ,
    "Reads that found something good in memory, or in Redis.",
    ["cache", "layer"],
);
const MISSES: Definition<Counter, 1> = Counter::define(
    "trellis.cache.misses",
    READ,
    "Reads that found nothing good in memory.",
    ["cache"],
);
const COALESCED: Definition<Counter, 1> = Counter::define(
    "trellis.cache.coalesced",
    READ,
    "Reads that waited for what another was reading already.",
    ["cache"],
);
const STALE: Definition<Counter, 2> = Counter::define(
    "trellis.cache.stale",
    READ,
    "Reads that were given something old, and why.",
    ["cache", "reason"],
);
const LOADS: Definition<Histogram, 2> = Histogram::seconds(
    "trellis.cache.load.duration",
    "How long reads of the store took, with their wait for a turn.",
    ["cache", "outcome"],
);
const INVALIDATIONS: Definition<Counter, 2> = Counter::define(
    "trellis.cache.invalidations",
    Unit::of("{invalidation}"),
    "Keys that were declared outdated here or elsewhere, and times that all were forgotten.",
    ["cache", "origin"],
);
const OUTDATED: Definition<Counter, 1> = Counter::define(
    "trellis.cache.outdated",
    Unit::of("{entry}"),
    "Entries that were not kept because newer ones were there or were required.",
    ["cache"],
);
const ERRORS: Definition<Counter, 2> = Counter::define(
    "trellis.cache.errors",
    Unit::of("{error}"),
    "Times that Redis did not do what it was asked for.",
    ["cache", "operation"],
);
const PENDING: Definition<Gauge, 1> = Gauge::define(
    "trellis.cache.pending_invalidations",
    Unit::of("{invalidation}"),
    "Invalidations that Redis has yet to hear of.",
    ["cache"],
);

/// The handles of one cache.
#[derive(Debug)]
pub(super) struct Meters {
    pub(super) hits_memory: Counter,
    pub(super) hits_redis: Counter,
    pub(super) misses: Counter,
    pub(super) coalesced: Counter,
    /// While a new one is read.
    pub(super) stale_refresh: Counter,
    /// As the store could not be read.
    pub(super) stale_error: Counter,
    /// As another process is reading.
    pub(super) stale_lease: Counter,
    pub(super) invalidated_here: Counter,
    pub(super) invalidated_elsewhere: Counter,
    pub(super) forgotten: Counter,
    pub(super) outdated: Counter,
    pub(super) pending: Gauge,
    errors: [Counter; 4],
    loads: [Histogram; 5],
}

/// What Redis was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    Get,
    Lease,
    Set,
    Require,
}

/// How a read of the store ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Loaded {
    Found,
    Nothing,
    Failed,
    TimedOut,
    Panicked,
}

impl Meters {
    pub(super) fn new(metrics: &Metrics, cache: &str) -> Self {
        let stale = |reason| metrics.get(&STALE, [cache, reason]);
        let invalidations = |origin| metrics.get(&INVALIDATIONS, [cache, origin]);
        Self {
            hits_memory: metrics.get(&HITS, [cache, "memory"]),
            hits_redis: metrics.get(&HITS, [cache, "redis"]),
            misses: metrics.get(&MISSES, [cache]),
            coalesced: metrics.get(&COALESCED, [cache]),
            stale_refresh: stale("refresh"),
            stale_error: stale("error"),
            stale_lease: stale("lease"),
            invalidated_here: invalidations("here"),
            invalidated_elsewhere: invalidations("elsewhere"),
            forgotten: invalidations("all"),
            outdated: metrics.get(&OUTDATED, [cache]),
            pending: metrics.get(&PENDING, [cache]),
            errors: ["get", "lease", "set", "require"]
                .map(|operation| metrics.get(&ERRORS, [cache, operation])),
            loads: ["found", "nothing", "failed", "timed_out", "panicked"]
                .map(|outcome| metrics.get(&LOADS, [cache, outcome])),
        }
    }

    pub(super) fn failed(&self, asked: Asked) {
        self.errors[asked as usize].increment();
    }

    pub(super) fn loaded(&self, how: Loaded, took: Duration) {
        self.loads[how as usize].record_duration(took);
    }
}
