//! The body of a response, at whose end the call ends.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use pin_project_lite::pin_project;
use tonic::Status;

use super::call::{Arm, Call};
use super::ending::{Failure, lost};
use super::meter::Origin;
use super::peer::Peer;
use super::pulse::Pulse;
use super::retry::Cause;
use super::timer::Timer;
use crate::context;
use crate::core::clock::Time;
use crate::core::outcome::{Pushback, RetrySafety, Verdict};
use crate::grpc::classify::{self, Answer};

pin_project! {
    /// Takes the verdict on the call exactly once: from its trailers, from an error, at
    /// its limits of time, or when it is dropped. Until then, the call is in flight.
    #[project = Projected]
    #[derive(Debug)]
    pub(super) struct ResponseBody<P: Peer> {
        // `None` when it is over, so that the peer hears of it at once.
        #[pin]
        inner: Option<P::Body>,
        running: Option<Running<P>>,
    }
}

#[derive(Debug)]
struct Running<P: Peer> {
    call: Call<P>,
    arm: Arm,
    limit: Option<Time>,
    /// The longest silence.
    idle: Option<Duration>,
    /// The last sign of life of the peer.
    last: Time,
    is_stream: bool,
    timer: Timer,
    pulse: Option<Pulse>,
}

impl<P: Peer> ResponseBody<P> {
    pub(super) fn new(
        mut call: Call<P>,
        arm: Arm,
        inner: P::Body,
        timer: Timer,
        pulse: Option<Pulse>,
    ) -> Self {
        let limit = call.held(arm).and_then(|held| held.limit);
        let is_stream = call.method().answers_in_a_stream();
        let idle = (is_stream || limit.is_none()).then(|| call.method().policy.idle_timeout);
        let mut last = Time::ZERO;
        if idle.is_some() {
            last = call.shared.now();
            call.begin_answer(arm, last);
        }
        let running = Running { call, arm, limit, idle, last, is_stream, timer, pulse };
        Self { inner: Some(inner), running: Some(running) }
    }

    /// Boxed once: tonic takes a body of just this type as it is.
    pub(super) fn boxed(self) -> tonic::body::Body {
        tonic::body::Body::new(UnsyncBoxBody::new(self))
    }
}

impl<P: Peer> Body for ResponseBody<P> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Projected { mut inner, running } = self.project();
        let (Some(body), Some(run)) = (inner.as_mut().as_pin_mut(), running.as_mut()) else {
            return Poll::Ready(None);
        };
        let polled = run.poll(body, cx);
        let is_over = match &polled {
            Poll::Pending => false,
            Poll::Ready(Some(Ok(frame))) => frame.is_trailers(),
            Poll::Ready(Some(Err(_)) | None) => true,
        };
        if is_over {
            *running = None;
            inner.set(None);
        }
        polled
    }

    /// Only when the verdict is taken: whoever stops reading before has given up.
    fn is_end_stream(&self) -> bool {
        self.running.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<P: Peer> Running<P> {
    fn poll(
        &mut self,
        body: Pin<&mut P::Body>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        // A stream that always has a piece ready must end in time, too.
        if self.is_stream && self.limit.is_some_and(|limit| limit <= self.call.shared.now()) {
            return Poll::Ready(Some(Err(self.cut())));
        }
        let Poll::Ready(frame) = body.poll_frame(cx) else {
            ready!(self.poll_limits(cx));
            return Poll::Ready(Some(Err(self.cut())));
        };
        Poll::Ready(match frame {
            Some(Ok(frame)) => Some(Ok(self.took(frame))),
            Some(Err(error)) => {
                let failure = Failure::lost(lost(error));
                let status = failure.ending.expect_err("a lost response is an error");
                self.end(failure.verdict, status.code(), failure.origin);
                Some(Err(status))
            }
            None => {
                let Answer { code, verdict } = classify::end(None);
                self.end(verdict, code, Origin::Remote);
                None
            }
        })
    }

    /// Ready when the call has taken too long, or was silent for too long.
    fn poll_limits(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let silent_at = self.silent_at();
            let at = match (self.limit, silent_at) {
                (Some(limit), Some(silent)) => limit.min(silent),
                (limit, silent) => match limit.or(silent) {
                    Some(at) => at,
                    None => return Poll::Pending,
                },
            };
            ready!(self.timer.poll(at, self.call.shared.environment.clock.as_ref(), cx));
            // A piece of the request may have been sent in the meantime.
            if self.limit == Some(at) || self.silent_at() == silent_at {
                return Poll::Ready(());
            }
        }
    }

    fn silent_at(&self) -> Option<Time> {
        let last = self.pulse.as_ref().map_or(self.last, |pulse| pulse.last().max(self.last));
        self.idle.map(|idle| last + idle)
    }

    fn took(&mut self, mut frame: Frame<Bytes>) -> Frame<Bytes> {
        match frame.trailers_mut() {
            Some(trailers) => self.ended_by(trailers),
            None if self.idle.is_some() => {
                self.last = self.call.shared.now();
                self.call.heard = self.is_stream;
            }
            None => {}
        }
        frame
    }

    fn ended_by(&mut self, trailers: &mut HeaderMap) {
        classify::disarm(trailers);
        let Answer { code, verdict } = classify::end(Some(trailers));
        self.end(verdict, code, Origin::Remote);
    }

    fn cut(&mut self) -> Status {
        let failure = Failure::timed_out(self.call.verdict_of_timeout(self.arm));
        let status = failure.ending.expect_err("a timeout is an error");
        self.end(failure.verdict, failure.code, failure.origin);
        status
    }

    fn end(&mut self, verdict: Verdict, code: tonic::Code, origin: Origin) {
        let now = self.call.shared.now();
        self.call.settle(self.arm, &verdict, now);
        self.call.finish(code, origin, verdict.health, now);
        if verdict.retry != RetrySafety::Never {
            self.call.shared.suppressed(Cause::Committed);
        }
        if verdict.pushback == Some(Pushback::Stop) {
            context::mark_exhausted();
        }
    }
}
