//! What is done, and what may be done about it.

use std::time::Duration;

use tokio::time::Instant;

use crate::core::backoff::Backoff;
use crate::policy::{DEFAULT_TIMEOUT, Idempotency, MAX_ATTEMPTS};

/// One thing that an [`Executor`](super::Executor) does, such as a query or a charge.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Stands in metrics and in rules of chaos.
    pub name: &'static str,
    /// What it does if it is done twice.
    pub idempotency: Idempotency,
    /// From the call to its end, over all attempts. What is left of the call that is
    /// being served limits it too. `None`: only the latter does.
    pub timeout: Option<Duration>,
    /// The limit of one attempt. `None`: half of what the call had when it began, so
    /// that two fit, if it may be repeated after a timeout; else all of it.
    pub attempt_timeout: Option<Duration>,
    /// The first included; `1..=MAX_ATTEMPTS`.
    pub attempts: u32,
    /// The waits between attempts. Default: [`Backoff::default`].
    pub backoff: Backoff,
    /// Attempts that take longer count as slow for the breaker. `None`: as the breaker
    /// is set.
    pub slow: Option<Duration>,
}

/// One run of the closure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    number: u32,
    deadline: Option<Instant>,
}

impl Operation {
    /// Of which nothing is known: within a second, and done again only if it provably
    /// was not done; then at most three times.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            idempotency: Idempotency::NonIdempotent,
            timeout: Some(DEFAULT_TIMEOUT),
            attempt_timeout: None,
            attempts: 3,
            backoff: Backoff::default(),
            slow: None,
        }
    }

    /// It changes nothing: three attempts within a second.
    pub fn safe(name: &'static str) -> Self {
        Self { idempotency: Idempotency::Safe, ..Self::new(name) }
    }

    /// Doing it twice is as doing it once: three attempts within a second.
    pub fn idempotent(name: &'static str) -> Self {
        Self { idempotency: Idempotency::Idempotent, ..Self::new(name) }
    }

    /// It carries a key by which the repetition is known: three attempts within a
    /// second.
    pub fn with_key(name: &'static str) -> Self {
        Self { idempotency: Idempotency::IdempotentWithKey, ..Self::new(name) }
    }

    /// From the call to its end, over all attempts. Default 1 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The limit of one attempt. Default: half of what the call has if it may be
    /// repeated, else all of it.
    #[must_use]
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = Some(timeout);
        self
    }

    /// Cut to `1..=MAX_ATTEMPTS`.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.clamp(1, MAX_ATTEMPTS);
        self
    }

    /// The waits between attempts. Default: [`Backoff::default`].
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// From when an attempt counts as slow for the breaker. Default: as the breaker is
    /// set.
    #[must_use]
    pub fn slow(mut self, slow: Duration) -> Self {
        self.slow = Some(slow);
        self
    }

    /// Whether it may be done again after it may have been done.
    pub fn is_repeatable(&self) -> bool {
        self.idempotency != Idempotency::NonIdempotent
    }

    /// Whether it matters that nobody knows if it was done.
    pub(super) fn has_effect(&self) -> bool {
        self.idempotency != Idempotency::Safe
    }

    pub(super) fn longest_attempt(&self) -> Option<Duration> {
        self.attempt_limit(self.timeout)
    }

    /// The limit of each attempt of a call that has `granted` in all.
    pub(super) fn attempt_limit(&self, granted: Option<Duration>) -> Option<Duration> {
        match (self.attempt_timeout, granted) {
            (Some(limit), Some(granted)) => Some(limit.min(granted)),
            (Some(limit), None) => Some(limit),
            (None, Some(granted)) if self.is_repeatable() && self.attempts > 1 => Some(granted / 2),
            (None, granted) => granted,
        }
    }
}

impl Attempt {
    pub(super) const fn new(number: u32, deadline: Option<Instant>) -> Self {
        Self { number, deadline }
    }

    /// Counted from one.
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// When it is cut off; `None`: never.
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The time until it is cut off, such as for a `statement_timeout`; `None`: no end.
    pub fn remaining(&self) -> Option<Duration> {
        Some(self.deadline?.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn two_attempts_fit_if_the_second_may_follow_a_timeout() {
        assert_eq!(Operation::safe("get").attempt_limit(Some(SECOND)), Some(SECOND / 2));
        assert_eq!(Operation::with_key("pay").attempt_limit(Some(SECOND)), Some(SECOND / 2));
        assert_eq!(Operation::safe("get").attempts(1).attempt_limit(Some(SECOND)), Some(SECOND));
        assert_eq!(Operation::new("pay").attempt_limit(Some(SECOND)), Some(SECOND));
    }

    #[test]
    fn an_attempt_has_its_own_limit_within_that_of_the_call() {
        let get = Operation::safe("get").attempt_timeout(SECOND / 10);
        assert_eq!(get.attempt_limit(Some(SECOND)), Some(SECOND / 10));
        assert_eq!(get.attempt_limit(Some(SECOND / 20)), Some(SECOND / 20));
        assert_eq!(get.attempt_limit(None), Some(SECOND / 10));
        assert_eq!(Operation::safe("get").attempt_limit(None), None);
    }
}
