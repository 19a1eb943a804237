//! How many more attempts than calls a peer may get.

mod bucket;

use std::sync::atomic::AtomicU64;

pub(super) use bucket::Bucket;

use super::clock::Time;
use super::outcome::FailureKind;

/// What a retry, or a hedge, costs.
pub const RETRY: Cost = Cost(1_000);

/// What a retry after a timeout costs: the peer is likely to be still at work on the
/// attempt before.
pub const AFTER_TIMEOUT: Cost = Cost(2_000);

/// Keeps retries to a share of the calls, so that a peer that fails does not get a
/// multiple of its load (Google SRE, "Handling Overload": at most 10 % more).
///
/// A bucket of tokens: each original call puts a part of one in, each retry takes one
/// out, and a little comes in with time so that a client with few calls can retry too.
/// In any time, retries cost at most `ratio` times the calls, plus the floor for that
/// time, plus the burst. One for each target, whose callers share it.
///
/// All is in one atomic word: of two callers who race for the last token, one gets it.
/// While the bucket is full, a call only reads.
#[derive(Debug)]
pub struct RetryBudget {
    bucket: Bucket<AtomicU64>,
}

/// The size of a [`RetryBudget`]. What is out of range is cut to it, and not-a-number
/// counts as zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The part of a token that each original call puts in, in steps of a thousandth;
    /// `0.0..=1.0`, default 0.1.
    pub ratio: f64,
    /// Tokens that come in each second whatever happens, in steps of a hundredth;
    /// `0.0..=60_000.0`, default 1.
    pub floor_per_second: f64,
    /// Tokens that the bucket holds; it starts full. `0..=60_000`, default 10.
    pub burst: u32,
}

/// What an attempt costs, in thousandths of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost(u32);

impl RetryBudget {
    /// It starts full.
    pub fn new(settings: Settings) -> Self {
        let per_call = thousandths(settings.ratio).min(1_000);
        // A tick is a tenth of a second.
        let per_tick = thousandths(settings.floor_per_second / 10.0).min(6_000_000);
        let burst = thousandths(f64::from(settings.burst));
        Self { bucket: Bucket::new(per_call, per_tick, burst, burst) }
    }

    /// Notes an original call; retries and hedges do not count as such.
    pub fn deposit(&self, now: Time) {
        self.bucket.deposit(now);
    }

    /// Pays for one more attempt, or says that it must not be made. What costs more
    /// than the burst is never paid for.
    pub fn try_withdraw(&self, cost: Cost, now: Time) -> bool {
        self.bucket.try_withdraw(cost.0, now)
    }

    /// Gives back what was paid for an attempt that was not made after all.
    pub fn refund(&self, cost: Cost) {
        self.bucket.refund(cost.0);
    }

    /// The tokens that are there.
    pub fn tokens(&self, now: Time) -> f64 {
        f64::from(self.bucket.level(now)) / 1_000.0
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new(Settings::default())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { ratio: 0.1, floor_per_second: 1.0, burst: 10 }
    }
}

impl Cost {
    /// What a retry costs after an attempt that failed so.
    pub const fn after(failure: FailureKind) -> Self {
        match failure {
            FailureKind::Timeout => AFTER_TIMEOUT,
            _ => RETRY,
        }
    }

    /// Twice as much if the call that is being served is itself a retry
    /// (`grpc-previous-rpc-attempts` of at least 1), so that the hops of a chain do
    /// not multiply their retries.
    #[must_use]
    pub const fn within(self, previous_attempts: u32) -> Self {
        if previous_attempts == 0 { self } else { Self(self.0 * 2) }
    }
}

/// Rounded, and cut to what a bucket holds; zero if it is not a number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is cut to a range that fits, and a cast maps not-a-number to zero"
)]
pub(super) fn thousandths(tokens: f64) -> u32 {
    (tokens * 1_000.0).round().clamp(0.0, 60_000_000.0) as u32
}

#[cfg(test)]
mod tests;
