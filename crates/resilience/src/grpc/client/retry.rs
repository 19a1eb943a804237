//! Whether a failed attempt is followed by another one, and when.

use std::time::Duration;

use crate::context::Inbound;
use crate::core::budget::{Cost, RETRY};
use crate::core::clock::Time;
use crate::core::outcome::{Health, Pushback, RetrySafety, Verdict};
use crate::core::random::Random;
use crate::policy::MethodPolicy;

/// Less is not worth an attempt.
pub(super) const LEAST_TIME: Duration = Duration::from_millis(1);

/// What a call has tried so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    /// Attempts that count: all but the one that is free.
    pub(super) attempts: u32,
    /// Whether an attempt that was provably not sent has been made up for at no cost.
    free_used: bool,
    /// How often the backoff has grown.
    grown: u32,
    waited: Duration,
}

/// What the decision depends on.
#[derive(Debug)]
pub(super) struct Question<'a> {
    pub(super) policy: &'a MethodPolicy,
    pub(super) verdict: Verdict,
    /// Whether the request can be sent again at all.
    pub(super) replayable: bool,
    pub(super) inbound: Inbound,
    pub(super) now: Time,
    pub(super) deadline: Option<Time>,
    /// What the method usually takes, if that is known.
    pub(super) typical: Option<Duration>,
    pub(super) throttled: bool,
    /// Whether the breaker is not closed and there is no other endpoint to go to.
    pub(super) tripped: bool,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: the failure is the answer.
    Stop(Cause),
    Again {
        after: Duration,
        /// `None`: it is free.
        cost: Option<Cost>,
    },
}

/// Why there is no further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// It would fail again in the same way.
    Final,
    NotIdempotent,
    /// The request or the response had been on its way for too long to begin anew.
    Committed,
    /// The peer asked for it.
    Pushback,
    /// A hop above is retrying already.
    Hops,
    Attempts,
    Throttle,
    Breaker,
    /// There is not enough time left.
    Deadline,
    Budget,
}

impl Progress {
    /// The first attempt is out.
    pub(super) fn begun() -> Self {
        Self { attempts: 1, ..Self::default() }
    }

    pub(super) fn next(&mut self, question: &Question<'_>, random: &Random) -> Next {
        if let Some(cause) = self.forbidden(question) {
            return Next::Stop(cause);
        }
        let is_free = question.verdict.retry == RetrySafety::Always && !self.free_used;
        let after = if is_free { Duration::ZERO } else { self.delay(question, random) };
        if !question.leaves_time_after(after) {
            return Next::Stop(Cause::Deadline);
        }
        if is_free {
            self.free_used = true;
            self.attempts -= 1;
            return Next::Again { after, cost: None };
        }
        self.waited = after;
        Next::Again { after, cost: Some(question.cost()) }
    }

    fn forbidden(&self, question: &Question<'_>) -> Option<Cause> {
        let Question { policy, verdict, .. } = question;
        let unsafe_to_repeat = match verdict.retry {
            RetrySafety::Never => return Some(Cause::Final),
            RetrySafety::IfIdempotent => !policy.is_repeatable(),
            RetrySafety::Always => false,
        };
        let is_free = verdict.retry == RetrySafety::Always && !self.free_used;
        let reasons = [
            (unsafe_to_repeat, Cause::NotIdempotent),
            (!question.replayable, Cause::Committed),
            (verdict.pushback == Some(Pushback::Stop), Cause::Pushback),
            (!is_free && question.inbound.retried_hops > 0, Cause::Hops),
            (!is_free && self.attempts >= policy.attempts, Cause::Attempts),
            (!is_free && question.throttled, Cause::Throttle),
            (!is_free && question.tripped, Cause::Breaker),
        ];
        reasons.into_iter().find_map(|(holds, cause)| holds.then_some(cause))
    }

    /// A peer that says when is taken at its word, and the backoff begins anew after
    /// that (gRFC A6).
    fn delay(&mut self, question: &Question<'_>, random: &Random) -> Duration {
        if let Some(Pushback::After(delay)) = question.verdict.pushback {
            self.grown = 0;
            return delay;
        }
        let delay = question.policy.backoff.delay(self.grown, self.waited, random);
        self.grown += 1;
        delay
    }
}

impl Question<'_> {
    /// Whether an attempt that begins `after` has as much time as one usually takes.
    pub(super) fn leaves_time_after(&self, after: Duration) -> bool {
        let needed = self.typical.unwrap_or_default().max(LEAST_TIME);
        self.deadline.is_none_or(|deadline| self.now + after + needed < deadline)
    }

    fn cost(&self) -> Cost {
        let cost = match self.verdict.health {
            Health::Failure(kind) => Cost::after(kind),
            _ => RETRY,
        };
        cost.within(self.inbound.previous_attempts)
    }
}

impl Cause {
    pub(super) const ALL: [Self; 10] = [
        Self::Final,
        Self::NotIdempotent,
        Self::Committed,
        Self::Pushback,
        Self::Hops,
        Self::Attempts,
        Self::Throttle,
        Self::Breaker,
        Self::Deadline,
        Self::Budget,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Final => "final",
            Self::NotIdempotent => "not_idempotent",
            Self::Committed => "committed",
            Self::Pushback => "pushback",
            Self::Hops => "hops",
            Self::Attempts => "attempts",
            Self::Throttle => "throttle",
            Self::Breaker => "breaker",
            Self::Deadline => "deadline",
            Self::Budget => "budget",
        }
    }

    /// Whether attempts were used up, so that those above would only multiply them.
    pub(super) const fn is_exhaustion(self) -> bool {
        match self {
            Self::Pushback | Self::Attempts | Self::Throttle | Self::Breaker | Self::Budget => true,
            Self::Final | Self::NotIdempotent | Self::Committed | Self::Hops | Self::Deadline => {
                false
            }
        }
    }
}

#[cfg(test)]
mod tests;
