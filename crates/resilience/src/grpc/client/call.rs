//! A call, and what it holds while it lasts.

mod pay;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::request::Parts;
use tonic::{Code, Status};
use tracing::Span;

use self::pay::Paid;
use super::deadline;
use super::meter::{Origin, Stage, Why};
use super::method::{Index, Method};
use super::peer::Peer;
use super::shared::Shared;
use crate::context::{self, Inbound};
use crate::core::breaker::Admission;
use crate::core::clock::Time;
use crate::core::latency::Quantile;
use crate::core::outcome::{FailureKind, Health, Verdict};
use crate::grpc::{classify, status};

/// From the admission of a call to the end of its response. However it ends, and also
/// if it is dropped in the middle, everything is given back and counted once, its place
/// in the bulkhead included.
#[derive(Debug)]
pub(super) struct Call<P: Peer> {
    pub(super) shared: Arc<Shared<P>>,
    method: Index,
    pub(super) inbound: Inbound,
    began: Time,
    pub(super) deadline: Option<Time>,
    /// What each attempt has.
    attempt_limit: Option<Duration>,
    /// The attempts that are out.
    first: Option<Held<P::Lease>>,
    // Seldom, hence boxed.
    second: Option<Box<Held<P::Lease>>>,
    /// For an attempt that has not begun yet.
    paid: Option<Paid>,
    /// All that have begun.
    launched: u32,
    /// Whether a message of a streamed response has come.
    pub(super) heard: bool,
    ended: bool,
}

/// What an attempt holds.
#[derive(Debug)]
pub(super) struct Held<L> {
    pub(super) admission: Admission,
    /// `None` until somebody was chosen.
    pub(super) lease: Option<L>,
    pub(super) began: Time,
    /// When its time is over.
    pub(super) limit: Option<Time>,
    pub(super) why: Why,
    /// Whether its answer is thrown away.
    pub(super) is_dropped: bool,
    /// `None` if nobody looks at it.
    pub(super) span: Option<Box<Span>>,
}

/// Which of the two attempts that can be out at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arm {
    First,
    Second,
}

impl<P: Peer> Call<P> {
    /// Admits a call, or says why not.
    pub(super) fn begin(shared: Arc<Shared<P>>, head: &Parts) -> Result<Self, Status> {
        let began = shared.now();
        let method = shared.methods.find(head.uri.path());
        let admitted = admit(&shared, shared.methods.get(method), &head.headers, began);
        if let Err((stage, status)) = &admitted {
            shared.meter.rejected(*stage);
            let meter = &shared.methods.get(method).meter;
            meter.called(status.code(), Origin::Local);
        }
        let (time, inbound) = admitted.map_err(|(_, status)| status)?;
        Ok(Self {
            shared,
            method,
            inbound,
            began,
            deadline: time.map(|time| began + time),
            attempt_limit: time,
            first: None,
            second: None,
            paid: None,
            launched: 0,
            heard: false,
            ended: false,
        })
    }

    pub(super) fn began(&self) -> Time {
        self.began
    }

    pub(super) fn method(&self) -> &Method {
        self.shared.methods.get(self.method)
    }

    pub(super) fn held(&mut self, arm: Arm) -> Option<&mut Held<P::Lease>> {
        match arm {
            Arm::First => self.first.as_mut(),
            Arm::Second => self.second.as_deref_mut(),
        }
    }

    pub(super) fn is_out(&self, arm: Arm) -> bool {
        match arm {
            Arm::First => self.first.is_some(),
            Arm::Second => self.second.is_some(),
        }
    }

    fn release(&mut self, arm: Arm) -> Option<Held<P::Lease>> {
        match arm {
            Arm::First => self.first.take(),
            Arm::Second => self.second.take().map(|held| *held),
        }
    }

    /// When an attempt that begins `now` has to be done.
    pub(super) fn limit_from(&self, now: Time) -> Option<Time> {
        let own = self.attempt_limit.map(|limit| now + limit);
        match (own, self.deadline) {
            (Some(own), Some(deadline)) => Some(own.min(deadline)),
            (own, deadline) => own.or(deadline),
        }
    }

    /// The attempts that are out and have a limit.
    pub(super) fn limits(&self) -> impl Iterator<Item = (Arm, Time)> {
        let first = self.first.as_ref().and_then(|held| Some((Arm::First, held.limit?)));
        let second = self.second.as_ref().and_then(|held| Some((Arm::Second, held.limit?)));
        first.into_iter().chain(second)
    }

    pub(super) fn lease(&mut self, arm: Arm, lease: Option<P::Lease>) {
        if let Some(held) = self.held(arm) {
            held.lease = lease;
        }
    }

    /// For the next attempt; it costs nothing if nobody looks at it.
    pub(super) fn span(&self, why: Why) -> Option<Box<Span>> {
        if self.launched == 0 && !self.shared.traces_first {
            return None;
        }
        let span = tracing::debug_span!(
            "resilience.attempt",
            otel.kind = "client",
            otel.name = self.method().path().trim_start_matches('/'),
            otel.status_code = tracing::field::Empty,
            "rpc.system.name" = "grpc",
            "rpc.method" = self.method().path().trim_start_matches('/'),
            peer = %self.shared.target,
            attempt = self.launched + 1,
            reason = why.name(),
            verdict = tracing::field::Empty,
        );
        (!span.is_disabled()).then(|| Box::new(span))
    }

    /// An attempt begins. Returns its number, counted from zero.
    pub(super) fn hold(&mut self, arm: Arm, held: Held<P::Lease>) -> u32 {
        self.method().meter.attempted(self.launched, held.why);
        match arm {
            Arm::First => self.first = Some(held),
            Arm::Second => self.second = Some(Box::new(held)),
        }
        self.launched += 1;
        self.launched - 1
    }

    /// Says how much of its time each attempt has.
    pub(super) fn share_time(&mut self, replayable: bool) {
        let policy = &self.method().policy;
        let may_repeat = replayable
            && policy.is_repeatable()
            && policy.attempts > 1
            && self.inbound.retried_hops == 0;
        self.attempt_limit = deadline::of_attempt(policy, self.attempt_limit, may_repeat);
    }

    /// The head of a streamed response is there.
    pub(super) fn begin_answer(&mut self, arm: Arm, now: Time) {
        let held = match arm {
            Arm::First => self.first.as_mut(),
            Arm::Second => self.second.as_deref_mut(),
        };
        if let Some(lease) = held.and_then(|held| held.lease.as_mut()) {
            self.shared.peer.answered(lease, now);
        }
    }

    /// An attempt ended.
    pub(super) fn settle(&mut self, arm: Arm, verdict: &Verdict, now: Time) {
        let Some(held) = self.release(arm) else { return };
        let took = now.since(held.began);
        let is_success = verdict.health == Health::Success;
        self.count_hedge(held.why, is_success);
        if let Some(span) = &held.span {
            span.record("verdict", tracing::field::debug(verdict.health));
            if let Health::Failure(_) = verdict.health {
                span.record("otel.status_code", "ERROR");
            }
        }
        let method = self.method();
        method.meter.attempt.record(took.as_secs_f64());
        if is_success && !method.answers_in_a_stream() {
            method.latency.record(took, now);
        }
        self.shared.breaker.settle(held.admission, verdict, now);
        if let Some(lease) = held.lease {
            self.shared.peer.settle(lease, verdict, now);
        }
    }

    /// An attempt is given up because the other one was faster. That it would have
    /// taken longer is known.
    pub(super) fn abandon(&mut self, arm: Arm, now: Time) {
        if let Some(held) = self.held(arm) {
            let (took, why) = (now.since(held.began), held.why);
            self.method().latency.record(took, now);
            self.count_hedge(why, false);
            self.cancel(arm, now);
        }
    }

    /// An attempt is given up, and nothing can be learned from it.
    pub(super) fn cancel(&mut self, arm: Arm, now: Time) {
        if let Some(held) = self.release(arm) {
            self.shared.breaker.cancel(held.admission, now);
        }
    }

    /// What it says that the time of an attempt is over: nothing, if its caller had less
    /// than the method usually takes.
    pub(super) fn verdict_of_timeout(&mut self, arm: Arm) -> Verdict {
        let (began, limit) = match self.held(arm) {
            Some(Held { began, limit: Some(limit), .. }) => (*began, *limit),
            _ => return classify::lost(FailureKind::Timeout),
        };
        let typical = self.method().latency.quantile(Quantile::P50, self.shared.now());
        let is_the_callers = self.deadline.is_some_and(|deadline| deadline <= limit);
        if is_the_callers && typical.is_some_and(|typical| limit.since(began) < typical) {
            return Verdict::IGNORE;
        }
        classify::lost(FailureKind::Timeout)
    }

    fn count_hedge(&self, why: Why, won: bool) {
        if why == Why::Hedge {
            self.shared.meter.hedged(won);
        }
    }

    /// The call ended.
    pub(super) fn finish(&mut self, code: Code, origin: Origin, health: Health, now: Time) {
        self.ended = true;
        // Whatever the peer did not refuse, and also what nothing was learned from.
        if !matches!(health, Health::Failure(_) | Health::Degraded) {
            self.shared.throttle.accepted(now);
        }
        let meter = &self.method().meter;
        meter.called(code, origin);
        meter.call.record(now.since(self.began).as_secs_f64());
        meter.attempts_per_call.record(f64::from(self.launched));
        if let Some(deadline) = self.deadline {
            meter.remaining.record(deadline.since(now).as_secs_f64());
        }
    }
}

impl Arm {
    pub(super) const BOTH: [Self; 2] = [Self::First, Self::Second];

    pub(super) const fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

impl<P: Peer> Drop for Call<P> {
    /// The caller gave up, if the call has not ended.
    fn drop(&mut self) {
        self.shared.bulkhead.leave();
        if self.ended {
            return;
        }
        let now = self.shared.now();
        self.refund();
        for arm in Arm::BOTH {
            if self.heard {
                // The peer did its work for as long as it was wanted.
                self.settle(arm, &Verdict::SUCCESS, now);
            } else {
                self.cancel(arm, now);
            }
        }
        self.finish(Code::Cancelled, Origin::Local, Health::Ignore, now);
    }
}

type Admitted = (Option<Duration>, Inbound);

/// Takes a place in the bulkhead, if all agree.
fn admit<P: Peer>(
    shared: &Shared<P>,
    method: &Method,
    headers: &HeaderMap,
    now: Time,
) -> Result<Admitted, (Stage, Status)> {
    let inbound = context::inbound().unwrap_or_default();
    let time = deadline::of_call(&method.policy, headers, &inbound)
        .map_err(|status| (Stage::Deadline, status))?;
    if !shared.throttle.admit(now, &shared.environment.random) {
        shared.meter.throttle.set(shared.throttle.probability(now));
        return Err((Stage::Throttle, status::throttled()));
    }
    if !shared.bulkhead.enter() {
        // The peer had no say in it.
        shared.throttle.accepted(now);
        return Err((Stage::Bulkhead, status::bulkhead_full()));
    }
    shared.budget.deposit(now);
    if method.is_hedged() {
        shared.hedges.deposit(now);
    }
    Ok((time, inbound))
}
