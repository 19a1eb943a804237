//! How long values are good, and how many are kept.

use std::time::Duration;

/// How a cache behaves.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What it is called in metrics and in Redis: a word.
    pub name: &'static str,
    /// The age from which a value is read anew while the old one is still given out. Each
    /// entry's own differs from it by up to 15 %, so that what was read together is not read
    /// again together.
    pub soft: Duration,
    /// The age from which a value is not given out, whatever happens; at least `soft`.
    pub hard: Duration,
    /// How long it is remembered that there is nothing; zero: not at all.
    pub negative: Duration,
    /// How many entries are kept in memory; those that were used least go first.
    pub capacity: u64,
    /// How long an entry in memory is given out without a look at Redis, which bounds what
    /// is missed when another process' word is lost. Without Redis it is `hard`.
    pub memory: Duration,
    /// The same while no word of other processes comes, because Redis is away.
    pub unheard: Duration,
    /// How long a read of the store may take, its wait for a turn included.
    pub load: Duration,
    /// How many reads of the store there may be at once.
    pub loads: usize,
}

/// How much longer or shorter than the others an entry is fresh.
pub(super) const JITTER: f64 = 0.15;

impl Settings {
    /// Negative entries for 5 s, 10,000 entries, 60 s in memory, 5 s while nothing is heard,
    /// and 32 loads of up to 1 s.
    pub const fn new(name: &'static str, soft: Duration, hard: Duration) -> Self {
        Self {
            name,
            soft,
            hard,
            negative: Duration::from_secs(5),
            capacity: 10_000,
            memory: Duration::from_mins(1),
            unheard: Duration::from_secs(5),
            load: Duration::from_secs(1),
            loads: 32,
        }
    }
}
