//! One call, from its admission to what its caller is told.

use std::time::Duration;

use tokio::time::Instant;
use tonic::Code;

use super::Parts;
use super::attempt::{Ended, Outcome};
use super::error::{ExecError, Rejection};
use super::meters::{End, OperationMeters, Stage};
use super::operation::Operation;
use crate::context::{self, Inbound};
use crate::core::clock::Time;
use crate::core::limit::Place;
use crate::core::outcome::{FailureKind, Health, Verdict};

/// With less than this left, nothing is tried.
pub(super) const LEAST_TIME: Duration = Duration::from_millis(1);

pub(super) struct Call<'a, T, E> {
    pub(super) parts: &'a Parts,
    pub(super) operation: &'a Operation,
    pub(super) meters: &'a OperationMeters,
    pub(super) inbound: Inbound,
    /// When the call, or the last attempt, or the wait after it, began or ended: both
    /// clocks are read as seldom as can be.
    pub(super) now: Time,
    pub(super) instant: Instant,
    pub(super) deadline: Option<Instant>,
    /// Whether the deadline is that of the call that is being served.
    pub(super) is_inherited: bool,
    pub(super) attempt_limit: Option<Duration>,
    /// Attempts that were begun.
    pub(super) attempts: u32,
    /// Retries since the last pushback, and the wait before the last of them.
    pub(super) retries: u32,
    pub(super) waited: Duration,
    /// Of the last attempt.
    pub(super) outcome: Option<Outcome<T, E>>,
    /// Of the last attempt before that one that had an error.
    last_error: Option<E>,
    /// Whether an attempt may have had an effect of which nothing was heard.
    is_in_doubt: bool,
    began: Time,
    /// From its beginning to its deadline.
    granted: Option<Duration>,
    is_over: bool,
    _place: Place,
}

impl<'a, T, E> Call<'a, T, E> {
    pub(super) fn begin(parts: &'a Parts, operation: &'a Operation) -> Result<Self, ExecError<E>> {
        let meters = parts.meters_of(operation);
        let inbound = context::inbound().unwrap_or_default();
        let (now, instant) = (parts.now(), Instant::now());
        let (granted, is_inherited) = granted(operation.timeout, remaining(&inbound, instant));
        let place = admit(parts, granted, now).map_err(|rejection| {
            count(parts, meters, &rejection);
            ExecError::Rejected(rejection)
        })?;
        Ok(Self {
            parts,
            operation,
            meters,
            inbound,
            now,
            instant,
            deadline: granted.and_then(|granted| instant.checked_add(granted)),
            is_inherited,
            attempt_limit: operation.attempt_limit(granted),
            attempts: 0,
            retries: 0,
            waited: Duration::ZERO,
            outcome: None,
            last_error: None,
            is_in_doubt: false,
            began: now,
            granted,
            is_over: false,
            _place: place,
        })
    }

    /// Waits before the next attempt.
    pub(super) async fn wait(&mut self, delay: Duration) {
        tokio::time::sleep(delay).await;
        (self.now, self.instant) = (self.parts.now(), Instant::now());
    }

    /// Takes the end of an attempt.
    pub(super) fn note(&mut self, outcome: Outcome<T, E>) {
        self.is_in_doubt |= self.operation.has_effect() && outcome.is_unsettled();
        let before = self.outcome.replace(outcome);
        if let Some(Outcome { ended: Ended::Answered(Err(error)), .. }) = before {
            self.last_error = Some(error);
        }
    }

    /// The end of a call whose next attempt was not admitted: a rejection if there was
    /// none before, else how that one ended.
    pub(super) fn refuse(mut self, rejection: Rejection) -> Result<T, ExecError<E>> {
        if self.outcome.is_some() {
            return self.finish();
        }
        self.close(Health::Ignore);
        count(self.parts, self.meters, &rejection);
        Err(ExecError::Rejected(rejection))
    }

    /// The end of a call after its last attempt.
    pub(super) fn finish(mut self) -> Result<T, ExecError<E>> {
        let outcome = self.outcome.take().expect("an attempt has ended");
        let Verdict { health, .. } = outcome.verdict;
        self.close(health);
        let result = self.tell(outcome.ended, health == Health::Success);
        match &result {
            Ok(_) => self.meters.ended(End::Ok),
            Err(ExecError::Failed(_)) => self.meters.ended(End::Failed),
            Err(ExecError::Unknown { .. }) => self.meters.ended(End::Unknown),
            Err(ExecError::DeadlineExceeded { .. }) => self.meters.ended(End::DeadlineExceeded),
            Err(ExecError::Rejected(rejection)) => count(self.parts, self.meters, rejection),
        }
        result
    }

    /// An answer settles what earlier attempts left in doubt: the peer says how things
    /// are now. That it is broken, or has too much to do, is none.
    fn tell(&mut self, ended: Ended<T, E>, is_answer: bool) -> Result<T, ExecError<E>> {
        let in_doubt = self.is_in_doubt && !is_answer;
        match (ended, in_doubt) {
            (Ended::Answered(result), false) => result.map_err(ExecError::Failed),
            (Ended::Answered(Err(error)), true) => Err(ExecError::Unknown { last: Some(error) }),
            (_, true) => Err(ExecError::Unknown { last: self.last_error.take() }),
            (Ended::TimedOut, false) => {
                Err(ExecError::DeadlineExceeded { last: self.last_error.take() })
            }
            (Ended::Injected(code), false) => Err(ExecError::Rejected(Rejection::Injected(code))),
            (Ended::Lost, false) => {
                Err(ExecError::Rejected(Rejection::Injected(Code::Unavailable)))
            }
        }
    }

    fn close(&mut self, health: Health) {
        self.is_over = true;
        let now = self.now;
        let took = now.since(self.began);
        self.meters.call_seconds.record(took.as_secs_f64());
        self.meters.attempts_per_call.record(f64::from(self.attempts));
        if let Some(granted) = self.granted {
            let left = granted.saturating_sub(took);
            self.meters.remaining.record(left.as_secs_f64());
        }
        // What says nothing about the peer must not look like a refusal either.
        if let (Some(throttle), Health::Success | Health::Ignore) = (&self.parts.throttle, health) {
            throttle.accepted(now);
        }
    }
}

impl<T, E> Drop for Call<'_, T, E> {
    fn drop(&mut self) {
        if !self.is_over {
            self.now = self.parts.now();
            self.close(Health::Ignore);
            self.meters.ended(End::Abandoned);
        }
    }
}

impl<T, E> Outcome<T, E> {
    /// Whether nobody knows what it did.
    fn is_unsettled(&self) -> bool {
        use FailureKind::{ConnectionLost, Protocol, Timeout};

        let is_lost =
            matches!(self.verdict.health, Health::Failure(ConnectionLost | Protocol | Timeout));
        is_lost || matches!(self.ended, Ended::TimedOut)
    }
}

fn remaining(inbound: &Inbound, now: Instant) -> Option<Duration> {
    inbound.deadline.map(|deadline| deadline.saturating_duration_since(now))
}

/// The time for a call, and whether it is that of the call that is being served.
fn granted(own: Option<Duration>, inherited: Option<Duration>) -> (Option<Duration>, bool) {
    match (own, inherited) {
        (Some(own), Some(left)) if left < own => (Some(left), true),
        (Some(own), _) => (Some(own), false),
        (None, left) => (left, left.is_some()),
    }
}

fn admit(parts: &Parts, granted: Option<Duration>, now: Time) -> Result<Place, Rejection> {
    if granted.is_some_and(|granted| granted < LEAST_TIME) {
        return Err(Rejection::DeadlineTooShort);
    }
    let throttle = parts.throttle.as_ref();
    if throttle.is_some_and(|throttle| !throttle.admit(now, &parts.environment.random)) {
        return Err(Rejection::Throttled);
    }
    parts.bulkhead.try_acquire().ok_or_else(|| {
        throttle.inspect(|throttle| throttle.accepted(now));
        Rejection::Bulkhead
    })
}

fn count(parts: &Parts, meters: &OperationMeters, rejection: &Rejection) {
    meters.ended(End::Rejected);
    parts.meters.target.rejected(match rejection {
        Rejection::BreakerOpen { .. } => Stage::Breaker,
        Rejection::Bulkhead => Stage::Bulkhead,
        Rejection::Limited => Stage::Limiter,
        Rejection::Throttled => Stage::Throttle,
        Rejection::DeadlineTooShort => Stage::Deadline,
        Rejection::Injected(_) => Stage::Chaos,
    });
}
