//! When an endpoint is left out for a while, and for how long.
//!
//! It is judged in two ways. By itself: several failures in a row, or too large a
//! share of failures, as a circuit breaker judges a target. That works with any number
//! of endpoints and within a few calls. And against its peers, in sweeps: gRFC A50,
//! which finds the one that is a little worse than all the others, and needs five of
//! them to tell.
//!
//! What comes back has to prove itself with one call that succeeds. Here are only the
//! decisions; [`balance`](super::balance) carries them out.

mod peers;

use std::time::Duration;

use super::ewma::Recent;
use crate::core::random::Random;

pub use peers::{FailurePercentage, SuccessRate};
pub(crate) use peers::{Sample, outliers};

/// The rules for leaving endpoints out.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Failures in a row. Default 5; `None`: any number.
    pub consecutive_failures: Option<u32>,
    /// The share of calls that failed or were refused for overload, in `0.0..=1.0`,
    /// seen over about the last `window` with at least `minimum_calls`. Default 0.5;
    /// `None`: any share.
    pub failure_rate: Option<f64>,
    /// Default 20.
    pub minimum_calls: u32,
    /// Default 10 s. Older calls fade rather than fall out.
    pub window: Duration,
    /// How long an endpoint that failed by itself is left out: U(0.5, 1) of this,
    /// doubled each further time. Default 1 s.
    pub base: Duration,
    /// The bound of the above. Default 30 s.
    pub cap: Duration,
    /// A peer that asked to be left alone is, up to this. Default 60 s.
    pub pushback_cap: Duration,
    /// A call that is to prove an endpoint, and takes longer, has failed. Default 10 s.
    pub probe_timeout: Duration,
    /// The time between sweeps (A50 `interval`). In each, an endpoint that was never
    /// left out is forgiven one of the times it was. Default 10 s.
    pub interval: Duration,
    /// How long an outlier among its peers is left out, times how often it was (A50
    /// `base_ejection_time`), and up to a quarter more. Default 30 s.
    pub peer_base: Duration,
    /// The bound of the above, without that quarter (A50 `max_ejection_time`). Default
    /// 300 s.
    pub peer_cap: Duration,
    /// `None`: not compared in this way.
    pub success_rate: Option<SuccessRate>,
    /// `None`: not compared in this way.
    pub failure_percentage: Option<FailurePercentage>,
    /// The largest share of the endpoints that is left out at a time, in `0.0..=1.0`;
    /// but always one if there are two, and never the last. Default 0.5 (A50 has 0.1,
    /// which is too little for small fleets).
    pub max_ejected: f64,
    /// When a smaller share of the endpoints than this is healthy, none is left out:
    /// then the fault is probably not theirs, and those that remain could not carry
    /// the load (Envoy's panic threshold). Default 0.5.
    pub panic_below: f64,
}

/// Why an endpoint is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Too many failures in a row.
    Consecutive,
    /// Too large a share of failures.
    FailureRate,
    /// The call that was to prove it failed or took too long.
    Probe,
    /// Fewer successes than its peers (A50).
    SuccessRate,
    /// Nearly only failures, where its peers do better (A50).
    FailurePercentage,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            consecutive_failures: Some(5),
            failure_rate: Some(0.5),
            minimum_calls: 20,
            window: Duration::from_secs(10),
            base: Duration::from_secs(1),
            cap: Duration::from_secs(30),
            pushback_cap: Duration::from_mins(1),
            probe_timeout: Duration::from_secs(10),
            interval: Duration::from_secs(10),
            peer_base: Duration::from_secs(30),
            peer_cap: Duration::from_mins(5),
            success_rate: Some(SuccessRate::default()),
            failure_percentage: Some(FailurePercentage::default()),
            max_ejected: 0.5,
            panic_below: 0.5,
        }
    }
}

impl Settings {
    /// Whether an endpoint is left out after a call that did not succeed: `streak`
    /// failures in a row up to now, and what is known of its last calls.
    pub(crate) fn judge(&self, streak: u32, recent: Recent) -> Option<Cause> {
        if self.consecutive_failures.is_some_and(|most| streak >= most) {
            return Some(Cause::Consecutive);
        }
        let rate = self.failure_rate?;
        let enough = f64::from(recent.calls) >= f64::from(self.minimum_calls);
        let failed = f64::from(recent.failures) >= rate * f64::from(recent.calls);
        (enough && failed).then_some(Cause::FailureRate)
    }

    /// How many of `known` endpoints may be left out at once.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a share of a number of endpoints"
    )]
    pub(crate) fn most_ejected(&self, known: usize) -> usize {
        let share = (known as f64 * self.max_ejected) as usize;
        share.max(1).min(known.saturating_sub(1))
    }

    /// Whether so few of `known` endpoints are `healthy` that health is no use.
    #[expect(clippy::cast_precision_loss, reason = "a number of endpoints")]
    pub(crate) fn panics(&self, healthy: usize, known: usize) -> bool {
        (healthy as f64) < known as f64 * self.panic_below
    }

    /// How long an endpoint is left out that now is for the `times`th time. `asked` is
    /// how long it asked for itself.
    pub(crate) fn duration(
        &self,
        by_peers: bool,
        times: u32,
        asked: Duration,
        random: &Random,
    ) -> Duration {
        let asked = asked.min(self.pushback_cap);
        if by_peers {
            let time = self.peer_base.saturating_mul(times.max(1));
            let time = time.min(self.peer_cap.max(self.peer_base));
            return asked.max(random.between(time, time.saturating_add(time / 4)));
        }
        let doubled = 2_u32.saturating_pow(times.saturating_sub(1));
        let time = self.base.saturating_mul(doubled).min(self.cap);
        asked.max(random.between(time / 2, time))
    }
}

impl Cause {
    pub const ALL: [Self; 5] = [
        Self::Consecutive,
        Self::FailureRate,
        Self::Probe,
        Self::SuccessRate,
        Self::FailurePercentage,
    ];

    /// Its name in metrics and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Consecutive => "consecutive",
            Self::FailureRate => "failure_rate",
            Self::Probe => "probe",
            Self::SuccessRate => "success_rate",
            Self::FailurePercentage => "failure_percentage",
        }
    }

    pub(crate) const fn is_by_peers(self) -> bool {
        matches!(self, Self::SuccessRate | Self::FailurePercentage)
    }
}

#[cfg(test)]
mod tests;
