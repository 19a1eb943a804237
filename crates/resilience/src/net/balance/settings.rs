//! What can be set about choosing an endpoint.

use std::sync::Arc;
use std::time::Duration;

use crate::net::outlier;

/// How endpoints are chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// After this time without another an old latency counts only a third (1/e).
    /// Default 10 s.
    pub decay: Duration,
    /// The latency that endpoints are taken to have when none was ever called; later
    /// ones start with the median of their peers. Default 30 ms.
    pub cold_latency: Duration,
    /// What a failure costs, as a latency, where there are nothing but failures; less,
    /// with the square of the share of failures, where there are others. Default 5 s.
    pub penalty: Duration,
    /// The bound of the penalty that a peer itself asks for by pushback, and of what a
    /// failure costs that took longer than `penalty`. Default 300 s.
    pub penalty_cap: Duration,
    /// A new endpoint, and one that returns, gets a share that grows from a tenth to
    /// the whole over this time. Default 5 s, so that one whose name is looked up after
    /// as long has its part 10 s after it came; zero: the whole at once.
    pub slow_start: Duration,
    /// An endpoint that was not chosen for this long is, by one of the next calls, so
    /// that what is known of it does not grow stale; but at most one call of 64 is
    /// used for that. Default 1 s.
    pub explore_after: Duration,
    /// When an endpoint is left out.
    pub outlier: outlier::Settings,
    /// Where the client is. Default: not known, and all zones are the same.
    pub zone: Option<Arc<str>>,
    /// With fewer healthy endpoints than this in its own zone, the client does not
    /// prefer it. Default 2.
    pub zone_minimum: usize,
    /// The most endpoints that are used of those that are known, at least 1. Default
    /// 20.
    pub subset: usize,
    /// What tells this client from the others, so that they use different subsets.
    /// Default: a number that no other process has.
    pub client: u64,
}

/// Settings that make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} is not {range}")]
pub struct SettingsError {
    pub setting: &'static str,
    pub range: &'static str,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            decay: Duration::from_secs(10),
            cold_latency: Duration::from_millis(30),
            penalty: Duration::from_secs(5),
            penalty_cap: Duration::from_mins(5),
            slow_start: Duration::from_secs(5),
            explore_after: Duration::from_secs(1),
            outlier: outlier::Settings::default(),
            zone: None,
            zone_minimum: 2,
            subset: 20,
            client: crate::core::random::Random::from_entropy().next_u64(),
        }
    }
}

impl Settings {
    /// Whether all are in their ranges.
    pub fn check(&self) -> Result<(), SettingsError> {
        let outlier = &self.outlier;
        for (setting, duration) in [
            ("decay", self.decay),
            ("cold_latency", self.cold_latency),
            ("window", outlier.window),
            ("base", outlier.base),
            ("probe_timeout", outlier.probe_timeout),
            ("interval", outlier.interval),
            ("peer_base", outlier.peer_base),
        ] {
            demand(duration >= Duration::from_millis(1), setting, "at least 1 ms")?;
        }
        for (setting, share) in [
            ("failure_rate", outlier.failure_rate.unwrap_or(1.0)),
            ("max_ejected", outlier.max_ejected),
            ("panic_below", outlier.panic_below),
        ] {
            demand((0.0..=1.0).contains(&share), setting, "in 0.0..=1.0")?;
        }
        demand(outlier.failure_rate != Some(0.0), "failure_rate", "above 0.0")?;
        demand(outlier.consecutive_failures != Some(0), "consecutive_failures", "at least 1")?;
        demand(outlier.minimum_calls > 0, "minimum_calls", "at least 1")?;
        demand(outlier.base <= outlier.cap, "base", "at most cap")?;
        demand(self.penalty <= self.penalty_cap, "penalty", "at most penalty_cap")?;
        demand(self.subset > 0, "subset", "at least 1")
    }
}

fn demand(holds: bool, setting: &'static str, range: &'static str) -> Result<(), SettingsError> {
    if holds { Ok(()) } else { Err(SettingsError { setting, range }) }
}
