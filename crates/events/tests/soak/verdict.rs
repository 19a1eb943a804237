//! What a run has shown.

use std::fmt;
use std::time::Duration;

use crate::faults::Faults;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Verdict {
    pub(crate) told: i64,
    /// Told, and without an effect.
    pub(crate) lost: i64,
    /// Effects beyond the first of an event.
    pub(crate) twice: i64,
    /// Deliveries that an inbox recognised.
    pub(crate) suppressed: i64,
    pub(crate) letters: i64,
    pub(crate) faults: Faults,
    pub(crate) took: Duration,
    /// Whether all came to rest by itself.
    pub(crate) settled: bool,
}

impl Verdict {
    pub(crate) fn is_clean(&self) -> bool {
        self.settled && self.lost == 0 && self.twice == 0 && self.letters == 0
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { told, lost, twice, suppressed, letters, faults, took, settled } = self;
        writeln!(f, "events told           {told}")?;
        writeln!(f, "relays killed         {}", faults.relays_killed)?;
        writeln!(f, "consumers killed      {}", faults.consumers_killed)?;
        writeln!(f, "brokers killed        {}", faults.brokers_killed)?;
        writeln!(f, "brokers wiped         {}", faults.brokers_wiped)?;
        writeln!(f, "kills not confirmed   {}", faults.unconfirmed)?;
        writeln!(f, "duplicates suppressed {suppressed}")?;
        writeln!(f, "dead letters          {letters}")?;
        writeln!(f, "lost                  {lost}")?;
        writeln!(f, "applied twice         {twice}")?;
        let end = if *settled { "came to rest" } else { "DID NOT COME TO REST" };
        write!(f, "{end} after {:.0} s", took.as_secs_f64())
    }
}
