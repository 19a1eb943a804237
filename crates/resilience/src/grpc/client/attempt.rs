//! One attempt, from the breaker to the head of its response.

#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;
use http::Response;
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tonic::Status;
use tracing::Span;

use super::call::{Arm, Call, Held};
use super::headers;
use super::meter::{Stage, Why};
use super::peer::{Peer, Request, Standing};
use crate::chaos::Fault;
use crate::core::clock::Time;
use crate::core::outcome::FailureKind;
use crate::grpc::{classify, status};
use crate::net::SendError;
use crate::net::balance::Tried;

pin_project! {
    /// What an attempt is about.
    #[project = Projected]
    pub(super) enum Slot<P: Peer> {
        Empty,
        Sending { #[pin] sending: P::Sending },
        // Seldom, hence boxed.
        Waiting { waiting: Box<Waiting> },
        Done { outcome: Option<Box<Outcome<P::Body>>> },
    }
}

/// A request that cannot be sent yet.
pub(super) struct Waiting {
    request: Unsent,
    until: Until,
}

/// A request, until somebody takes it.
pub(super) struct Unsent(Option<Request>);

enum Until {
    Later(Pin<Box<Sleep>>),
    Changed(BoxFuture<'static, ()>),
    /// Its caller stops waiting.
    Never,
}

/// How an attempt ended.
pub(super) enum Outcome<B> {
    Head(Response<B>),
    /// An answer that no peer gave, but that counts as one.
    Feigned(Status),
    Lost(SendError),
    /// Its time was over.
    TimedOut,
    /// It was not made.
    Refused(Stage, Status),
}

/// An attempt to be made.
pub(super) struct Start {
    pub(super) arm: Arm,
    pub(super) why: Why,
    pub(super) now: Time,
}

const FEIGNED: &str = "a fault on purpose";

/// Begins an attempt: everything but waiting is done at once.
///
/// The request is large, so it is not moved before somebody takes it.
pub(super) fn start<P: Peer>(
    call: &mut Call<P>,
    tried: &mut Tried,
    start: &Start,
    request: &mut Unsent,
) -> Slot<P> {
    let Start { arm, why, now } = *start;
    let admission = match call.shared.breaker.admit(now) {
        Ok(admission) => admission,
        Err(rejected) => {
            let status = status::breaker_open(rejected.retry_after);
            return Slot::done(Outcome::Refused(Stage::Breaker, status));
        }
    };
    let admission = match call.method().policy.slow {
        Some(slow) => admission.slow_after(Some(slow)),
        None => admission,
    };
    let limit = call.limit_from(now);
    let span = call.span(why);
    // What is injected into the headers tells the peer of this very attempt.
    let entered = span.as_deref().cloned().map(Span::entered);
    let held = Held { admission, lease: None, began: now, limit, why, is_dropped: false, span };
    let number = call.hold(arm, held);
    headers::write(call, &mut request.get().head.headers, number, limit, now);
    drop(entered);
    match strike(call, arm, request.get()) {
        None => direct(call, tried, arm, request, now),
        Some(Struck::Ended(outcome)) => Slot::done(outcome),
        Some(Struck::Waits(until)) => Slot::waiting(request.take(), until),
    }
}

/// What chaos does instead of sending a request.
enum Struck<B> {
    Ended(Outcome<B>),
    Waits(Until),
}

fn strike<P: Peer>(call: &mut Call<P>, arm: Arm, request: &Request) -> Option<Struck<P::Body>> {
    let shared = &call.shared;
    let fault = shared.chaos.as_ref()?.strike(
        &shared.target,
        request.head.uri.path(),
        &shared.environment.random,
    )?;
    Some(match fault {
        Fault::Latency(delay) => Struck::Waits(Until::Later(Box::pin(tokio::time::sleep(delay)))),
        Fault::Hang => Struck::Waits(Until::Never),
        Fault::Error(code) => Struck::Ended(Outcome::Feigned(Status::new(code, FEIGNED))),
        Fault::Reset => Struck::Ended(Outcome::Lost(lost_on_purpose())),
        Fault::DropResponse => {
            if let Some(held) = call.held(arm) {
                held.is_dropped = true;
            }
            return None;
        }
    })
}

/// Chooses somebody and sends the request to them, if that is possible now.
fn direct<P: Peer>(
    call: &mut Call<P>,
    tried: &mut Tried,
    arm: Arm,
    request: &mut Unsent,
    now: Time,
) -> Slot<P> {
    let peer = &call.shared.peer;
    // Who there is may not have been found out yet, which is nobody's failure. It is asked
    // before the choice: what is found out after that would make one of it.
    let waits = call.method().policy.wait_for_ready || !peer.is_resolved();
    let lease = peer.choose(tried, now);
    let standing = match &lease {
        Some(lease) => peer.standing(lease),
        None => Standing::Unreachable,
    };
    match (lease, standing) {
        (Some(lease), Standing::Ready) => send(call, tried, arm, lease, request),
        (Some(lease), Standing::Hopeful) if !waits => send(call, tried, arm, lease, request),
        (lease, _) if waits => {
            let changed = peer.changed(lease.as_ref());
            call.lease(arm, lease);
            Slot::waiting(request.take(), Until::Changed(changed))
        }
        _ => Slot::done(Outcome::Refused(Stage::Endpoints, status::no_endpoints())),
    }
}

fn send<P: Peer>(
    call: &mut Call<P>,
    tried: &mut Tried,
    arm: Arm,
    lease: P::Lease,
    request: &mut Unsent,
) -> Slot<P> {
    let peer = &call.shared.peer;
    peer.note(&lease, tried);
    let sending = peer.send(&lease, request.take());
    call.lease(arm, Some(lease));
    Slot::Sending { sending }
}

/// After waiting for somebody: to who was waited for, or to somebody else if that was
/// in vain.
fn resume<P: Peer>(
    call: &mut Call<P>,
    tried: &mut Tried,
    arm: Arm,
    request: &mut Unsent,
) -> Slot<P> {
    let now = call.shared.now();
    if let Some(limit) = call.held(arm).and_then(|held| held.limit) {
        call.method().write_timeout(&mut request.get().head.headers, limit.since(now));
    }
    let Some(lease) = call.held(arm).and_then(|held| held.lease.take()) else {
        return direct(call, tried, arm, request, now);
    };
    match call.shared.peer.standing(&lease) {
        Standing::Ready => return send(call, tried, arm, lease, request),
        Standing::Unreachable => {
            let unsent = classify::lost(FailureKind::Unsent);
            call.shared.peer.settle(lease, &unsent, now);
        }
        Standing::Hopeful => {}
    }
    direct(call, tried, arm, request, now)
}

fn lost_on_purpose() -> SendError {
    SendError { kind: FailureKind::ConnectionLost, source: FEIGNED.into() }
}

impl<P: Peer> Slot<P> {
    fn done(outcome: Outcome<P::Body>) -> Self {
        Self::Done { outcome: Some(Box::new(outcome)) }
    }

    fn waiting(request: Request, until: Until) -> Self {
        Self::Waiting { waiting: Box::new(Waiting { request: Unsent::new(request), until }) }
    }

    /// Whether the request is certainly not on its way yet.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self, Self::Waiting { .. })
    }

    /// Whether the attempt was not made at all.
    pub(super) fn is_refused(&self) -> bool {
        let Self::Done { outcome: Some(outcome) } = self else { return false };
        matches!(**outcome, Outcome::Refused(..))
    }

    /// Ready with how the attempt ended, upon which this is empty.
    pub(super) fn poll(
        mut self: Pin<&mut Self>,
        call: &mut Call<P>,
        tried: &mut Tried,
        arm: Arm,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome<P::Body>> {
        loop {
            let next = match self.as_mut().project() {
                Projected::Empty => return Poll::Pending,
                Projected::Done { outcome } => {
                    let outcome = outcome.take().expect("it ends once");
                    self.set(Self::Empty);
                    return Poll::Ready(*outcome);
                }
                Projected::Sending { sending } => {
                    let outcome = ready!(poll_sending::<P>(sending, call.held(arm), cx));
                    self.set(Self::Empty);
                    return Poll::Ready(outcome);
                }
                Projected::Waiting { waiting } => {
                    ready!(waiting.until.poll(cx));
                    resume(call, tried, arm, &mut waiting.request)
                }
            };
            self.set(next);
        }
    }
}

fn poll_sending<P: Peer>(
    sending: Pin<&mut P::Sending>,
    held: Option<&mut Held<P::Lease>>,
    cx: &mut Context<'_>,
) -> Poll<Outcome<P::Body>> {
    let held = held.expect("what is being sent is held");
    let _entered = held.span.as_ref().map(|span| span.enter());
    let sent = ready!(sending.poll(cx));
    Poll::Ready(match sent {
        Ok(_) if held.is_dropped => Outcome::Lost(lost_on_purpose()),
        Ok(response) => Outcome::Head(response),
        Err(error) => Outcome::Lost(error),
    })
}

impl Unsent {
    pub(super) fn new(request: Request) -> Self {
        Self(Some(request))
    }

    fn get(&mut self) -> &mut Request {
        self.0.as_mut().expect("nobody has taken it")
    }

    fn take(&mut self) -> Request {
        self.0.take().expect("it is taken once")
    }
}

impl Until {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Later(sleep) => sleep.as_mut().poll(cx),
            Self::Changed(changed) => changed.as_mut().poll(cx),
            Self::Never => Poll::Pending,
        }
    }
}
