//! One attempt of a call.

use std::panic::{AssertUnwindSafe, resume_unwind};

use futures::FutureExt as _;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::Code;
use tracing::Instrument as _;

use super::call::Call;
use super::classify::{Classifier, injected};
use super::error::Rejection;
use super::operation::Attempt;
use super::retry::Paid;
use crate::chaos::Fault;
use crate::core::breaker::Permit;
use crate::core::clock::Time;
use crate::core::latency::Quantile;
use crate::core::limit::{Sample, Slot};
use crate::core::outcome::{FailureKind, Health, RetrySafety, Verdict};

/// How an attempt ended, and what that says.
pub(super) struct Outcome<T, E> {
    pub(super) ended: Ended<T, E>,
    pub(super) verdict: Verdict,
}

pub(super) enum Ended<T, E> {
    Answered(Result<T, E>),
    TimedOut,
    /// Chaos lost the connection, or the answer.
    Lost,
    /// Chaos answered in place of the peer.
    Injected(Code),
}

/// The places that an attempt takes.
struct Admission<'a> {
    permit: Option<Permit<'a>>,
    slot: Option<Slot>,
}

impl<'a, T, E> Call<'a, T, E> {
    /// Makes the next attempt, if it is admitted.
    pub(super) async fn attempt<C, F, A>(
        &mut self,
        make: &mut F,
        classifier: &C,
        paid: Option<Paid<'a>>,
    ) -> Result<Outcome<T, E>, Rejection>
    where
        C: Classifier<T, E>,
        F: FnMut(Attempt) -> A,
        A: Future<Output = Result<T, E>>,
    {
        let admission = self.admit_attempt(paid)?;
        let (began, started) = (self.now, self.instant);
        let attempt = Attempt::new(self.attempts, self.attempt_deadline(started));
        let span = tracing::debug_span!("resilience.attempt", number = attempt.number());
        let performed = perform(self.strike(), attempt, make).instrument(span);

        // A panic is told to the breaker before it goes on.
        let performed = AssertUnwindSafe(performed).catch_unwind();
        let performed = match attempt.deadline() {
            Some(deadline) => timeout_at(deadline, performed).await.ok(),
            None => Some(performed.await),
        };

        let now = self.parts.now();
        self.now = now;
        let ended = match performed {
            Some(Ok(ended)) => ended,
            None => Ended::TimedOut,
            Some(Err(panic)) => {
                let verdict = Verdict::failure(FailureKind::Server, RetrySafety::Never);
                admission.settle(&verdict, now);
                resume_unwind(panic);
            }
        };
        let verdict = self.verdict(&ended, classifier, started, now);
        let took = now.since(began);
        self.meters.latency.record(took, now);
        self.meters.attempt_seconds.record(took.as_secs_f64());
        admission.settle(&verdict, now);
        Ok(Outcome { ended, verdict })
    }

    /// Once it is sure that the attempt is made, it is counted and paid for.
    fn admit_attempt(&mut self, paid: Option<Paid<'a>>) -> Result<Admission<'a>, Rejection> {
        let now = self.now;
        let slot = match &self.parts.limiter {
            Some(limiter) => Some(limiter.try_acquire(now).ok_or(Rejection::Limited)?),
            None => None,
        };
        let permit = match &self.parts.breaker {
            Some(breaker) => match breaker.try_acquire(now) {
                Ok(permit) if self.operation.slow.is_some() => {
                    Some(permit.slow_after(self.operation.slow))
                }
                Ok(permit) => Some(permit),
                Err(rejected) => {
                    // Its time says nothing about the peer.
                    if let Some(slot) = slot {
                        slot.finish(Sample::Ignored, now);
                    }
                    return Err(Rejection::BreakerOpen { retry_after: rejected.retry_after });
                }
            },
            None => None,
        };
        match paid {
            Some(paid) => paid.spend(),
            None => self.parts.budget.deposit(now),
        }
        self.attempts += 1;
        self.meters.attempted(self.attempts);
        Ok(Admission { permit, slot })
    }

    fn attempt_deadline(&self, started: Instant) -> Option<Instant> {
        let own = self.attempt_limit.and_then(|limit| started.checked_add(limit));
        own.into_iter().chain(self.deadline).min()
    }

    fn strike(&self) -> Option<Fault> {
        let chaos = self.parts.chaos.as_ref()?;
        chaos.strike(&self.parts.name, self.operation.name, &self.parts.environment.random)
    }

    fn verdict<C: Classifier<T, E>>(
        &self,
        ended: &Ended<T, E>,
        classifier: &C,
        started: Instant,
        now: Time,
    ) -> Verdict {
        match ended {
            Ended::Answered(result) => classifier.classify(result.as_ref()),
            Ended::TimedOut if !self.had_a_chance(started, now) => Verdict::IGNORE,
            Ended::TimedOut => Verdict::failure(FailureKind::Timeout, RetrySafety::IfIdempotent),
            Ended::Lost => Verdict::failure(FailureKind::ConnectionLost, RetrySafety::IfIdempotent),
            Ended::Injected(code) => injected(*code),
        }
    }

    /// Whether the attempt had at least the time that half of them need. If not, and
    /// that is because of who called here, the peer is not to blame.
    fn had_a_chance(&self, started: Instant, now: Time) -> bool {
        let granted = self.deadline.map(|deadline| deadline.saturating_duration_since(started));
        match (granted, self.meters.latency.quantile(Quantile::P50, now)) {
            (Some(granted), Some(usual)) if self.is_inherited => usual <= granted,
            _ => true,
        }
    }
}

impl Admission<'_> {
    fn settle(self, verdict: &Verdict, now: Time) {
        if let Some(permit) = self.permit {
            permit.record(verdict, now);
        }
        if let Some(slot) = self.slot {
            slot.finish(sample(verdict), now);
        }
    }
}

/// That a peer asks for less says as much as if it did not answer at all.
fn sample(verdict: &Verdict) -> Sample {
    match verdict.health {
        Health::Success => Sample::Completed,
        Health::Failure(FailureKind::Timeout | FailureKind::Overload) | Health::Degraded => {
            Sample::Dropped
        }
        Health::Failure(_) | Health::Ignore => Sample::Ignored,
    }
}

async fn perform<T, E, F, A>(fault: Option<Fault>, attempt: Attempt, make: &mut F) -> Ended<T, E>
where
    F: FnMut(Attempt) -> A,
    A: Future<Output = Result<T, E>>,
{
    match fault {
        None | Some(Fault::DropResponse) => {}
        Some(Fault::Latency(latency)) => sleep(latency).await,
        Some(Fault::Error(code)) => return Ended::Injected(code),
        Some(Fault::Reset) => return Ended::Lost,
        Some(Fault::Hang) => std::future::pending().await,
    }
    let result = make(attempt).await;
    if fault == Some(Fault::DropResponse) { Ended::Lost } else { Ended::Answered(result) }
}
