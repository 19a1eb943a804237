//! What the settings decide.

use std::time::Duration;

use super::machine::Last;
use super::{Reason, Settings, Totals};
use crate::core::random::Random;

/// The share of the calls that is admitted right after the breaker closed.
pub(super) const FIRST_SHARE: f64 = 0.1;

/// The bound of a first wait, in multiples of what the failed call took.
///
/// A queue whose wait has reached a call's patience is noticed when that call ends, a
/// patience later. With `k` times the load that the peer can do, the queue is `k`
/// patiences long by then, and a probe succeeds when less than one is left. The least
/// wait is half of the bound, so this is enough for up to two and a half times the load.
const DRAIN: u32 = 3;

impl Settings {
    /// Whether a closed breaker has seen enough.
    pub(super) fn reason_to_open(&self, in_a_row: u64, totals: Totals) -> Option<Reason> {
        let reaches = |limit: Option<f64>, rate: f64| limit.is_some_and(|limit| rate >= limit);
        let is_enough = totals.calls >= u64::from(self.minimum_calls);
        if self.consecutive_failures.is_some_and(|limit| in_a_row >= u64::from(limit)) {
            Some(Reason::Consecutive)
        } else if is_enough && reaches(self.failure_rate, totals.failure_rate()) {
            Some(Reason::FailureRate)
        } else if is_enough && reaches(self.slow_rate, totals.slow_rate()) {
            Some(Reason::SlowRate)
        } else {
            None
        }
    }

    /// How long to stay open after the last of `trips` in a row: between half and all
    /// of a bound that doubles with each, so that those who opened together do not all
    /// come back together ("equal jitter", Brooker, "Exponential Backoff And Jitter",
    /// AWS 2015); and no less than the peer asked for.
    pub(super) fn wait(&self, trips: u32, last: Last, random: &Random) -> Duration {
        let doubled = 2_u32.saturating_pow(trips.saturating_sub(1));
        let bound = self.open_base.saturating_mul(doubled).max(self.drain(last.took));
        let bound = bound.min(self.open_cap);
        random.between(bound / 2, bound).max(last.hold_off.min(self.pushback_cap))
    }

    /// The longest first wait after a call that took so long before it failed.
    ///
    /// While it waited, other calls were sent, and a peer that does not notice that
    /// nobody waits for them any more has all of that to work off. A probe that comes
    /// too early is one more call that it cannot answer in time.
    fn drain(&self, took: Duration) -> Duration {
        took.min(self.open_base).saturating_mul(DRAIN)
    }

    /// The share of the calls that is admitted so long after the breaker closed;
    /// `None`: all.
    pub(super) fn ramp_share(&self, closed_for: Duration) -> Option<f64> {
        let is_over = closed_for >= self.ramp;
        let passed = || closed_for.as_secs_f64() / self.ramp.as_secs_f64();
        (!is_over).then(|| FIRST_SHARE + (1.0 - FIRST_SHARE) * passed())
    }
}
