//! When a call has taken too long.
//!
//! A *deadline* is set by a caller (`Request::set_timeout`, header `grpc-timeout`),
//! covers the whole call with its stream, and is inherited: every call that the
//! handler makes in turn gets what is left of it. Calls without one are only kept
//! from hanging: whoever serves waits [`SERVER_PATIENCE`] and whoever calls waits
//! [`CLIENT_PATIENCE`] for the *head* of the response, counted anew from each piece
//! of the request's body. So a long upload or a long stream needs no deadline, and
//! no such wait is inherited, which would cut a stream that a handler opens.
//!
//! Tonic's own timeouts are not used: they exist only on the network's road, look
//! only at the head, and answer CANCELLED.
//!
//! Tasks that a handler spawns do not inherit the deadline. That is meant: what must
//! go on after the call, such as a saga, must not end with the call's patience.

mod body;
mod header;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tonic::{Code, Status};

pub(crate) use body::{Ending, Touching, Until};
pub(crate) use header::{parse, write};

/// How long a handler may take to the head of its response if its caller set no
/// deadline.
pub const SERVER_PATIENCE: Duration = Duration::from_secs(30);

/// How long a caller that set no deadline waits for the head of a response.
pub const CLIENT_PATIENCE: Duration = Duration::from_secs(10);

/// The longest deadline; a longer one is cut to it.
pub const LONGEST: Duration = Duration::from_hours(24);

tokio::task_local! {
    static INBOUND: Option<Instant>;
}

/// What is left of the deadline of the call that is being served; zero when it has
/// passed.
///
/// `None` if the caller set none, outside of a call, in a spawned task, and in a
/// response stream: take it before the stream begins.
pub fn remaining() -> Option<Duration> {
    inbound().map(|deadline| deadline.saturating_duration_since(Instant::now()))
}

/// The deadline of the call that is being served.
pub(crate) fn inbound() -> Option<Instant> {
    INBOUND.try_with(|deadline| *deadline).ok().flatten()
}

/// Runs `call` as one that has to be done by `deadline`.
pub(crate) async fn scope<F: Future>(deadline: Option<Instant>, call: F) -> F::Output {
    INBOUND.scope(deadline, call).await
}

/// The answer to a call that has run out of time. Its effect is unknown.
pub(crate) fn exceeded() -> Status {
    trellis_api::error::status(
        Code::DeadlineExceeded,
        "DEADLINE_EXCEEDED",
        "the deadline has passed",
        &[],
    )
}

/// The last sign of life of a request's body.
#[derive(Clone, Debug)]
pub(crate) struct Pulse(Arc<Mutex<Instant>>);

impl Pulse {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// Ends when there was no sign for as long as `patience`.
    pub(crate) async fn lost(&self, patience: Duration) {
        loop {
            let limit = self.last() + patience;
            if limit <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(limit).await;
        }
    }

    fn touch(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
