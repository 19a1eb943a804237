//! Whether a call is tried again, and when.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::call::{Call, LEAST_TIME};
use super::meters::Suppression;
use crate::context;
use crate::core::breaker::State;
use crate::core::budget::{Cost, RETRY, RetryBudget};
use crate::core::clock::Time;
use crate::core::latency::Quantile;
use crate::core::outcome::{Health, Pushback, RetrySafety, Verdict};
use crate::observe::Event;

/// One more attempt, after a wait.
pub(super) struct Retry<'a> {
    pub(super) delay: Duration,
    pub(super) paid: Paid<'a>,
}

/// What was paid for an attempt. It is given back if the attempt is not made.
pub(super) struct Paid<'a> {
    budget: &'a RetryBudget,
    cost: Cost,
    is_spent: bool,
}

/// Keeps an outage, in which every call has a retry suppressed, from crowding out the
/// other events.
#[derive(Debug)]
pub(super) struct Seldom(AtomicU64);

impl<'a, T, E> Call<'a, T, E> {
    /// The next attempt after the last one, if there is to be one.
    pub(super) fn retry(&mut self) -> Option<Retry<'a>> {
        let verdict = self.outcome.as_ref()?.verdict;
        let now = self.now;
        // Also where nothing would be retried: who called here must not either.
        if verdict.pushback == Some(Pushback::Stop) && verdict.health != Health::Success {
            return self.suppress(Suppression::Pushback, now);
        }
        if verdict.retry == RetrySafety::Never {
            return None;
        }
        if verdict.retry == RetrySafety::IfIdempotent && !self.operation.is_repeatable() {
            return self.suppress(Suppression::NotIdempotent, now);
        }
        // Whoever wants one attempt only has not given up: a caller above may retry.
        if self.operation.attempts <= 1 {
            return None;
        }
        if self.operation.attempts <= self.attempts {
            context::mark_exhausted();
            return None;
        }
        if let Some(cause) = self.obstacle(now) {
            return self.suppress(cause, now);
        }
        let delay = self.delay(&verdict);
        if !self.has_time_after(delay, now) {
            return self.suppress(Suppression::Deadline, now);
        }
        let Some(paid) = self.pay(&verdict, now) else {
            return self.suppress(Suppression::Budget, now);
        };
        Some(Retry { delay, paid })
    }

    /// What forbids a retry now, whatever it costs and however long it waits.
    fn obstacle(&self, now: Time) -> Option<Suppression> {
        let (breaker, throttle) = (self.parts.breaker.as_ref(), self.parts.throttle.as_ref());
        if self.inbound.retried_hops > 0 {
            Some(Suppression::Hops)
        } else if breaker.is_some_and(|breaker| breaker.state(now) != State::Closed) {
            Some(Suppression::Breaker)
        } else if throttle.is_some_and(|throttle| throttle.probability(now) > 0.0) {
            Some(Suppression::Throttle)
        } else {
            None
        }
    }

    /// A pushback is obeyed to the letter, and the backoff begins anew after it (gRFC
    /// A6).
    fn delay(&mut self, verdict: &Verdict) -> Duration {
        if let Some(Pushback::After(delay)) = verdict.pushback {
            self.retries = 0;
            self.waited = Duration::ZERO;
            return delay;
        }
        let random = &self.parts.environment.random;
        self.waited = self.operation.backoff.delay(self.retries, self.waited, random);
        self.retries += 1;
        self.waited
    }

    /// Whether an attempt after `delay` would likely end in time.
    fn has_time_after(&self, delay: Duration, now: Time) -> bool {
        let Some(deadline) = self.deadline else { return true };
        let usual = self.meters.latency.quantile(Quantile::P50, now).unwrap_or_default();
        let left = deadline.saturating_duration_since(Instant::now());
        delay.saturating_add(usual.max(LEAST_TIME)) < left
    }

    fn pay(&self, verdict: &Verdict, now: Time) -> Option<Paid<'a>> {
        let cost = match verdict.health {
            Health::Failure(kind) => Cost::after(kind),
            Health::Success | Health::Degraded | Health::Ignore => RETRY,
        };
        let cost = cost.within(self.inbound.previous_attempts);
        let budget = &*self.parts.budget;
        // Made only once it is paid, as dropping it gives the cost back.
        budget.try_withdraw(cost, now).then(|| Paid { budget, cost, is_spent: false })
    }

    /// The callers above learn that retries were given up here, unless they never had
    /// a chance.
    fn suppress(&self, cause: Suppression, now: Time) -> Option<Retry<'a>> {
        self.parts.meters.target.suppressed(cause);
        if matches!(cause, Suppression::NotIdempotent | Suppression::Deadline) {
            return None;
        }
        context::mark_exhausted();
        if self.parts.suppressions.is_due(now) {
            let target = self.parts.name.clone();
            let event = Event::RetrySuppressed { target, cause: cause.as_str() };
            self.parts.environment.listener.on_event(&event);
        }
        None
    }
}

impl Seldom {
    const NEVER: u64 = u64::MAX;

    pub(super) const fn new() -> Self {
        Self(AtomicU64::new(Self::NEVER))
    }

    /// True for one of those who ask within a second.
    fn is_due(&self, now: Time) -> bool {
        // It guards nothing but itself.
        let last = self.0.load(Ordering::Relaxed);
        let is_over = |last| now.since(Time::from_nanos(last)) >= Duration::from_secs(1);
        (last == Self::NEVER || is_over(last))
            && self
                .0
                .compare_exchange(last, now.as_nanos(), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

impl Paid<'_> {
    /// The attempt is made.
    pub(super) fn spend(mut self) {
        self.is_spent = true;
    }
}

impl Drop for Paid<'_> {
    fn drop(&mut self) {
        if !self.is_spent {
            self.budget.refund(self.cost);
        }
    }
}
