//! A call under way: its attempts, and what it waits for between them.

mod follow;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::Request;
use pin_project_lite::pin_project;
use tonic::Status;
use tonic::body::Body;

use super::attempt::{self, Outcome, Slot, Start, Unsent};
use super::call::{Arm, Call};
use super::ending::{Ending, Failure};
use super::meter::{Origin, Why};
use super::peer::{self, Peer};
use super::prepare;
use super::pulse::Pulse;
use super::retry::Progress;
use super::shared::Shared;
use super::template::Template;
use super::timer::Timer;
use crate::core::clock::Time;
use crate::core::hedge;
use crate::core::outcome::Health;
use crate::grpc::body::RequestBody;
use crate::net::balance::Tried;

pin_project! {
    /// The response to come.
    ///
    /// It is no boxed future and waits for all it needs to by itself, so a call that is
    /// answered by its first attempt takes no allocation for it.
    #[project = Running]
    pub struct ResponseFuture<P: Peer> {
        refused: Option<Status>,
        // `None` when it is over.
        call: Option<Call<P>>,
        #[pin]
        first: Slot<P>,
        second: Option<Pin<Box<Slot<P>>>>,
        template: Option<Template>,
        tried: Tried,
        progress: Progress,
        next: Option<Launch>,
        // The last attempt that failed, while there is hope.
        failure: Option<Box<Failure>>,
        timer: Timer,
        pulse: Option<Pulse>,
    }
}

/// An attempt that will be made.
#[derive(Clone, Copy, Debug)]
struct Launch {
    at: Time,
    why: Why,
}

/// What time brings.
#[derive(Clone, Copy, Debug)]
enum Event {
    Launch(Launch),
    /// The time of an attempt is over.
    Limit(Arm),
    /// For long there was no sign of life.
    Silence,
}

impl<P: Peer> ResponseFuture<P> {
    /// Admits the call, and makes its first attempt.
    pub(super) fn begin(shared: Arc<Shared<P>>, request: Request<Body>) -> Self {
        let mut future = Self::new();
        let (head, body) = request.into_parts();
        let call = match Call::begin(shared, &head) {
            Ok(call) => future.call.insert(call),
            Err(status) => return Self { refused: Some(status), ..future },
        };
        let body = match prepare::read(call, body) {
            Ok(body) => body,
            Err(status) => {
                call.finish(status.code(), Origin::Local, Health::Ignore, call.began());
                return Self { refused: Some(status), ..future };
            }
        };
        if let RequestBody::Whole(bytes) = &body {
            future.template = Some(Template::of(&head, bytes.as_ref()));
        }
        let replayable = future.template.is_some();
        call.share_time(replayable);
        future.next = hedge_of(call, replayable);
        let (body, pulse) = prepare::felt(call, body);
        future.pulse = pulse;
        let start = Start { arm: Arm::First, why: Why::First, now: call.began() };
        let mut request = Unsent::new(peer::Request { head, body });
        future.first = attempt::start(call, &mut future.tried, &start, &mut request);
        future
    }

    fn new() -> Self {
        Self {
            refused: None,
            call: None,
            first: Slot::Empty,
            second: None,
            template: None,
            tried: Tried::new(),
            progress: Progress::begun(),
            next: None,
            failure: None,
            timer: Timer::default(),
            pulse: None,
        }
    }
}

impl<P: Peer> Future for ResponseFuture<P> {
    type Output = Ending;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ending> {
        let mut running = self.project();
        if let Some(status) = running.refused.take() {
            return Poll::Ready(Err(status));
        }
        loop {
            if let Poll::Ready((arm, outcome)) = running.poll_attempts(cx) {
                if let Some(ending) = running.ended(arm, outcome) {
                    return Poll::Ready(ending);
                }
                continue;
            }
            let Some((at, event)) = running.next_event() else { return Poll::Pending };
            ready!(running.poll_timer(at, cx));
            if let Some(ending) = running.happened(event) {
                return Poll::Ready(ending);
            }
        }
    }
}

impl<P: Peer> Running<'_, P> {
    fn call(&mut self) -> &mut Call<P> {
        self.call.as_mut().expect("it is not polled when it is over")
    }

    fn now(&mut self) -> Time {
        self.call().shared.now()
    }

    fn poll_attempts(&mut self, cx: &mut Context<'_>) -> Poll<(Arm, Outcome<P::Body>)> {
        let call = self.call.as_mut().expect("it is not polled when it is over");
        let (first, arm) = (self.first.as_mut(), Arm::First);
        if let Poll::Ready(outcome) = first.poll(call, self.tried, arm, cx) {
            return Poll::Ready((arm, outcome));
        }
        let Some(second) = self.second else { return Poll::Pending };
        let arm = Arm::Second;
        second.as_mut().poll(call, self.tried, arm, cx).map(|outcome| (arm, outcome))
    }

    fn poll_timer(&mut self, at: Time, cx: &mut Context<'_>) -> Poll<()> {
        let call = self.call.as_mut().expect("it is not polled when it is over");
        self.timer.poll(at, call.shared.environment.clock.as_ref(), cx)
    }

    /// What comes next, unless an attempt ends before.
    fn next_event(&mut self) -> Option<(Time, Event)> {
        let launch = self.next.map(|launch| (launch.at, Event::Launch(launch)));
        let silence = self.silent_at().map(|at| (at, Event::Silence));
        let limits = self.call().limits().map(|(arm, at)| (at, Event::Limit(arm)));
        limits.chain(launch).chain(silence).min_by_key(|(at, _)| *at)
    }

    /// When a call without any other limit has waited for the head for too long,
    /// counted anew from each piece of its request.
    fn silent_at(&mut self) -> Option<Time> {
        let pulse = self.pulse.as_ref().map(Pulse::last);
        let call = self.call();
        let arm = if call.is_out(Arm::First) { Arm::First } else { Arm::Second };
        let held = call.held(arm)?;
        let (None, began) = (held.limit, held.began) else { return None };
        Some(pulse.map_or(began, |last| last.max(began)) + call.method().policy.idle_timeout)
    }

    fn happened(&mut self, event: Event) -> Option<Ending> {
        match event {
            Event::Launch(launch) => {
                *self.next = None;
                self.launch(launch.why);
                None
            }
            Event::Limit(arm) => self.ended(arm, Outcome::TimedOut),
            Event::Silence => {
                let now = self.now();
                let is_silent = self.silent_at().is_some_and(|at| at <= now);
                is_silent.then(|| self.ended(Arm::First, Outcome::TimedOut)).flatten()
            }
        }
    }

    /// Makes one more attempt, beside the one that is out if there is one.
    fn launch(&mut self, why: Why) {
        let now = self.now();
        let Some(template) = self.template else { return };
        let call = self.call.as_mut().expect("it is not polled when it is over");
        if why == Why::Hedge && !call.is_paid() && !call.pay_for_hedge(self.tried, now) {
            return;
        }
        let arm = if call.is_out(Arm::First) { Arm::Second } else { Arm::First };
        self.progress.attempts += 1;
        let start = Start { arm, why, now };
        let mut request = Unsent::new(template.request());
        let slot = attempt::start(call, self.tried, &start, &mut request);
        if slot.is_refused() {
            call.refund();
        } else {
            call.spend();
        }
        match arm {
            Arm::First => self.first.set(slot),
            Arm::Second => *self.second = Some(Box::pin(slot)),
        }
    }

    /// Gives up what an attempt was about. Returns whether it was still waiting for
    /// somebody to be sent to.
    fn clear(&mut self, arm: Arm) -> bool {
        match arm {
            Arm::First => {
                let is_waiting = self.first.is_waiting();
                self.first.set(Slot::Empty);
                is_waiting
            }
            Arm::Second => self.second.take().is_some_and(|slot| slot.is_waiting()),
        }
    }
}

/// The second attempt that is made if the first takes long.
fn hedge_of<P: Peer>(call: &Call<P>, replayable: bool) -> Option<Launch> {
    let method = call.method();
    if !replayable || !method.is_hedged() {
        return None;
    }
    let delay = hedge::delay(method.policy.hedge, &method.latency, call.began())?;
    Some(Launch { at: call.began() + delay, why: Why::Hedge })
}

impl<P: Peer> fmt::Debug for ResponseFuture<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("call", &self.call).finish_non_exhaustive()
    }
}
