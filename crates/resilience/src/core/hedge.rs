//! When a second attempt is sent beside the first, and how often that may be.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::budget::{Bucket, Cost, RetryBudget, thousandths};
use super::clock::Time;
use super::latency::{Latency, Quantile};
use crate::policy::Hedge;

/// No hedge that waits for a percentile is sent sooner.
pub const LEAST_DELAY: Duration = Duration::from_millis(5);

/// Keeps hedges to a share of the calls.
///
/// When a whole peer gets slow, every call outlives the percentile that it was to be
/// hedged at, and without a bound the load would double just then. It starts empty, so
/// hedges are never more than the share of all calls so far; of the calls of some
/// later time, they are at most 10 more.
#[derive(Debug)]
pub struct HedgeBudget {
    bucket: Bucket<AtomicU64>,
}

/// How long to wait before a second attempt is sent; `None`: none is sent.
///
/// `latency` is that of the method. Hedges make it seem lower than it is if only the
/// faster attempt is recorded, so what is known of the slower one should be too.
pub fn delay(policy: Hedge, latency: &Latency, now: Time) -> Option<Duration> {
    match policy {
        Hedge::Never => None,
        Hedge::After(delay) => Some(delay),
        Hedge::AfterP95 { at_least } => {
            let p95 = latency.quantile(Quantile::P95, now)?;
            Some(p95.max(at_least).max(LEAST_DELAY))
        }
    }
}

impl HedgeBudget {
    const HEDGE: u32 = 1_000;
    const BURST: u32 = 10_000;

    /// `share` is of the calls, in steps of a thousandth; it is cut to `0.0..=1.0`.
    pub fn new(share: f64) -> Self {
        Self { bucket: Bucket::new(thousandths(share).min(1_000), 0, Self::BURST, 0) }
    }

    /// Notes an original call.
    pub fn deposit(&self, now: Time) {
        self.bucket.deposit(now);
    }

    /// Pays for a hedge here and, as it is one more attempt, out of the budget for
    /// retries. If it says no, the call goes on without.
    pub fn try_hedge(&self, retries: &RetryBudget, cost: Cost, now: Time) -> bool {
        if !self.bucket.try_withdraw(Self::HEDGE, now) {
            return false;
        }
        let paid = retries.try_withdraw(cost, now);
        if !paid {
            self.bucket.refund(Self::HEDGE);
        }
        paid
    }

    /// Gives both back for a hedge that was not sent after all.
    pub fn refund(&self, retries: &RetryBudget, cost: Cost) {
        self.bucket.refund(Self::HEDGE);
        retries.refund(cost);
    }
}

impl Default for HedgeBudget {
    /// 5 % of the calls.
    fn default() -> Self {
        Self::new(0.05)
    }
}

#[cfg(test)]
mod tests;
