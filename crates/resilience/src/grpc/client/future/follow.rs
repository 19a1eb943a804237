//! What follows when an attempt ends.

use http::Response;
use tonic::Status;
use tonic::body::Body;

use super::{Launch, Running};
use crate::context;
use crate::core::clock::Time;
use crate::core::outcome::{FailureKind, Health, Pushback, RetrySafety, Verdict};
use crate::grpc::classify::{self, Answer};
use crate::grpc::client::attempt::Outcome;
use crate::grpc::client::call::Arm;
use crate::grpc::client::ending::{Ending, Failure};
use crate::grpc::client::meter::{Origin, Stage, Why};
use crate::grpc::client::peer::Peer;
use crate::grpc::client::response::ResponseBody;
use crate::grpc::client::retry::{Cause, Next};

impl<P: Peer> Running<'_, P> {
    /// `None`: another attempt is out, or will be.
    pub(super) fn ended(&mut self, arm: Arm, outcome: Outcome<P::Body>) -> Option<Ending> {
        let was_waiting = self.clear(arm);
        match outcome {
            Outcome::Head(response) => self.head(arm, response),
            Outcome::Feigned(status) => {
                let answer = classify::status(&status);
                self.answered(arm, answer, status.into_http())
            }
            Outcome::Lost(error) => self.failed(arm, Failure::lost(error)),
            Outcome::TimedOut => {
                let verdict = self.verdict_of_timeout(arm, was_waiting);
                self.failed(arm, Failure::timed_out(verdict))
            }
            Outcome::Refused(stage, status) => self.refused(arm, stage, status),
        }
    }

    fn head(&mut self, arm: Arm, mut response: Response<P::Body>) -> Option<Ending> {
        match classify::head(response.status(), response.headers()) {
            None => Some(Ok(self.commit(arm, response))),
            Some(answer) => {
                classify::disarm(response.headers_mut());
                self.answered(arm, answer, response.map(Body::new))
            }
        }
    }

    /// The peer's word is in the head: nothing has been handed on yet.
    fn answered(&mut self, arm: Arm, answer: Answer, response: Response<Body>) -> Option<Ending> {
        let retries_internal = self.call().method().policy.retry_internal;
        let answer = if retries_internal { answer.with_internal_retried() } else { answer };
        self.failed(arm, Failure::answered(answer, response))
    }

    /// The response has begun, and with it there is no way back. Its end decides how
    /// the attempt went.
    fn commit(&mut self, arm: Arm, response: Response<P::Body>) -> Response<Body> {
        self.give_up(arm.other());
        let call = self.call.take().expect("it is not polled when it is over");
        let (timer, pulse) = (std::mem::take(self.timer), self.pulse.take());
        response.map(|body| ResponseBody::new(call, arm, body, timer, pulse).boxed())
    }

    /// An attempt ended without the beginning of a response, be it with an answer.
    fn failed(&mut self, arm: Arm, failure: Failure) -> Option<Ending> {
        let now = self.now();
        let verdict = failure.verdict;
        self.call().settle(arm, &verdict, now);
        if verdict.retry == RetrySafety::Never {
            return Some(self.finish(failure, now));
        }
        if verdict.pushback == Some(Pushback::Stop) {
            *self.next = None;
        }
        if self.call().is_out(arm.other()) {
            *self.failure = Some(Box::new(failure));
            return None;
        }
        match self.follow(verdict, now) {
            Ok(launch) => {
                *self.next = Some(launch);
                *self.failure = Some(Box::new(failure));
                None
            }
            Err(cause) => Some(self.give_in(failure, cause, now)),
        }
    }

    /// An attempt was not made at all.
    fn refused(&mut self, arm: Arm, stage: Stage, status: Status) -> Option<Ending> {
        let now = self.now();
        self.call().cancel(arm, now);
        if self.call().is_out(arm.other()) {
            return None;
        }
        if let Some(failure) = self.failure.take() {
            return Some(self.give_in(*failure, Cause::Breaker, now));
        }
        self.call().shared.meter.rejected(stage);
        self.call().finish(status.code(), Origin::Local, Health::Ignore, now);
        *self.call = None;
        Some(Err(status))
    }

    /// When the next attempt is made, which is paid for then; or why there is none.
    fn follow(&mut self, verdict: Verdict, now: Time) -> Result<Launch, Cause> {
        let was_to_be_hedged = self.next.take().is_some_and(|next| next.why == Why::Hedge);
        let call = self.call.as_mut().expect("it is not polled when it is over");
        let question = call.question(verdict, self.template.is_some(), self.tried, now);
        let soon = verdict.hold_off();
        let is_hedged = was_to_be_hedged
            && verdict.retry == RetrySafety::IfIdempotent
            && question.leaves_time_after(soon);
        let next = self.progress.next(&question, &call.shared.environment.random);
        // What was to be sent beside the failed attempt is sent in its place.
        if is_hedged && call.pay_for_hedge(self.tried, now) {
            return Ok(Launch { at: now + soon, why: Why::Hedge });
        }
        match next {
            Next::Stop(cause) => Err(cause),
            Next::Again { after, cost: None } => {
                Ok(Launch { at: now + after, why: Why::Transparent })
            }
            Next::Again { after, cost: Some(cost) } if call.pay_for_retry(cost, now) => {
                Ok(Launch { at: now + after, why: Why::Retry })
            }
            Next::Again { .. } => Err(Cause::Budget),
        }
    }

    /// The failure is the answer, although another attempt might have helped.
    fn give_in(&mut self, failure: Failure, cause: Cause, now: Time) -> Ending {
        self.call().shared.suppressed(cause);
        if cause.is_exhaustion() {
            context::mark_exhausted();
        }
        self.finish(failure, now)
    }

    fn finish(&mut self, failure: Failure, now: Time) -> Ending {
        for arm in Arm::BOTH {
            self.give_up(arm);
        }
        let Failure { verdict, code, origin, ending } = failure;
        self.call().finish(code, origin, verdict.health, now);
        *self.call = None;
        ending
    }

    /// The other attempt has decided the call.
    fn give_up(&mut self, arm: Arm) {
        if self.call().is_out(arm) {
            self.clear(arm);
            let now = self.now();
            self.call().abandon(arm, now);
        }
    }

    fn verdict_of_timeout(&mut self, arm: Arm, was_waiting: bool) -> Verdict {
        if was_waiting {
            return classify::lost(FailureKind::Unsent);
        }
        self.call().verdict_of_timeout(arm)
    }
}
