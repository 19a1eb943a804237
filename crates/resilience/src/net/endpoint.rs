//! One address of a peer, and the HTTP/2 connection to it.
//!
//! The connection is opened when the first call needs it, kept alive, and opened again
//! when it is lost while it was of use. A peer that cannot be reached is left alone
//! for a while that grows and is random; meanwhile calls fail at once instead of
//! queueing up before a door that stays shut. When a peer says goodbye in order
//! (GOAWAY), what is in flight ends on the old connection and what comes next goes to
//! a new one.
//!
//! What a call that got no response says about itself is exact: it is only called
//! [`Unsent`](crate::core::outcome::FailureKind::Unsent) if the peer cannot have
//! processed it.
//!
//! An endpoint belongs to the tokio runtime in which it is first used.

mod attempt;
mod failure;
mod keeper;
mod phase;
mod shared;
mod spare;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use http::uri::Authority;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio_util::sync::DropGuard;

use self::failure::Fate;
use self::phase::Phase;
use self::shared::{Shared, changed};
use self::spare::Spare;
use super::connect::Connect;
use super::{Address, SendError};
use crate::core::backoff::{Backoff, Jitter};
use crate::core::environment::Environment;
use crate::grpc::body::RequestBody;

pub use self::failure::{ConnectionError, Unavailable};
pub use self::phase::State;

/// One address, and at most one connection that takes new calls. Clones are one; when
/// the last is dropped, the connection is closed as soon as what is in flight is done.
#[derive(Clone, Debug)]
pub struct Endpoint {
    shared: Arc<Shared>,
    /// Ends the keeper with the last clone.
    _life: Arc<DropGuard>,
}

/// How an endpoint connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// From the first packet to the peer's first word of HTTP/2. Default 500 ms.
    pub connect_timeout: Duration,
    /// Between two attempts to connect. Default 100 ms, doubled up to 10 s, with full
    /// jitter.
    pub backoff: Backoff,
    /// How long a peer may be silent, also without any call, before it is asked for a
    /// sign of life. Default 10 s.
    pub keepalive_interval: Duration,
    /// How long it may take to give one, before the connection counts as lost.
    /// Default 5 s.
    pub keepalive_timeout: Duration,
    /// How much a peer may send of one response before it is read, in bytes. Default
    /// 1 MiB.
    pub stream_window: u32,
    /// The same for all responses of a connection together. Default 4 MiB.
    pub connection_window: u32,
    /// The largest head or trailers that are taken, in bytes as HPACK counts them.
    /// Default 64 KiB, since errors carry their details there.
    pub max_header_list: u32,
}

impl Endpoint {
    /// `authority` is what the peer is called in requests, and `target` in events.
    pub fn new(
        address: Address,
        settings: Settings,
        connector: Arc<dyn Connect>,
        authority: Authority,
        environment: &Environment,
        target: Arc<str>,
    ) -> Self {
        let shared = Shared::new(address, settings, connector, authority, environment, target);
        let life = Arc::new(shared.end.clone().drop_guard());
        Self { shared: Arc::new(shared), _life: life }
    }

    pub fn address(&self) -> &Address {
        &self.shared.address
    }

    /// The address as text.
    pub fn name(&self) -> &Arc<str> {
        &self.shared.name
    }

    pub fn state(&self) -> State {
        self.shared.status.state()
    }

    /// Whether a call can expect a connection: there is one, or nothing is known that
    /// speaks against it. One load, so that it can be asked for every choice.
    pub fn is_available(&self) -> bool {
        self.shared.status.is_available()
    }

    /// Ends when there is a connection, or when an attempt to get one has failed: the
    /// current one, or the next if the endpoint is in backoff.
    pub async fn available(&self) -> Result<(), Unavailable> {
        let mut phases = self.shared.status.subscribe();
        let mut seen = None;
        loop {
            let phase = phases.borrow_and_update().clone();
            if self.shared.is_live() {
                return Ok(());
            }
            if let Phase::Backoff(pause) = phase {
                if *seen.get_or_insert(pause.attempt) != pause.attempt {
                    return Err(self.shared.unavailable(&pause));
                }
            } else {
                // Whatever fails from here on was tried after the question was asked.
                seen.get_or_insert(0);
            }
            self.shared.wake();
            changed(&mut phases).await;
        }
    }

    /// Sends `request` and waits for the head of the response.
    ///
    /// It waits for the connection if one is being opened, and fails at once, with an
    /// [`Unavailable`] as the source, in backoff. It sets no limit to either: whoever
    /// has a deadline drops the future, which also cancels the call at the peer.
    ///
    /// A request that is overtaken by the end of its connection, so that the peer has
    /// not processed it, is sent again on the next connection. For that a copy is kept
    /// if the body is [`RequestBody::Whole`], without its extensions; one that streams
    /// can only go again if the connection gives it back unread.
    pub async fn send(
        &self,
        mut request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, SendError> {
        self.shared.direct(request.uri_mut());
        let spare = Spare::of(&request);
        match (self.shared.deliver(request).await, spare) {
            (Err((Fate::Overtaken, _)), Some(spare)) => self.shared.deliver(spare.into()).await,
            (sent, _) => sent,
        }
        .map_err(|(_, error)| error)
    }

    /// As [`Self::send`] without the copy, for callers that can make the request
    /// again: what is overtaken and not given back is left to them, as
    /// [`FailureKind::Unsent`](crate::core::outcome::FailureKind::Unsent).
    pub async fn send_once(
        &self,
        mut request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, SendError> {
        self.shared.direct(request.uri_mut());
        self.shared.deliver(request).await.map_err(|(_, error)| error)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_millis(500),
            backoff: Backoff {
                base: Duration::from_millis(100),
                cap: Duration::from_secs(10),
                jitter: Jitter::Full,
            },
            keepalive_interval: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(5),
            stream_window: 1 << 20,
            connection_window: 4 << 20,
            max_header_list: 64 << 10,
        }
    }
}
