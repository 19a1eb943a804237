//! Where the attempts of a client go.

mod fleet;
mod over;

use std::fmt;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::Response;
use http::request::Parts;

use crate::core::clock::Time;
use crate::core::outcome::Verdict;
use crate::grpc::body::RequestBody;
use crate::net::SendError;
use crate::net::balance::Tried;

pub use over::{Over, OverSending};

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Whom a [`Client`](super::Client) calls: one service, or one of a fleet for each
/// attempt.
pub trait Peer: fmt::Debug + Send + Sync + 'static {
    /// The body of a response.
    type Body: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;
    /// The one who was chosen for an attempt. To drop it is to give the attempt up.
    type Lease: fmt::Debug + Send + 'static;
    /// Ends with the head of the response, or without one.
    type Sending: Future<Output = Result<Response<Self::Body>, SendError>> + Send + 'static;

    /// Chooses one for an attempt, if possible not of those who were tried. `None` if
    /// nobody is known.
    fn choose(&self, tried: &Tried, now: Time) -> Option<Self::Lease>;

    /// Whether it has been found out yet who there is.
    fn is_resolved(&self) -> bool {
        true
    }

    /// Whether somebody else could be chosen than those who were tried; `None` if that
    /// cannot be told.
    fn has_other(&self, tried: &Tried) -> Option<bool>;

    /// Notes that the chosen one was tried.
    fn note(&self, lease: &Self::Lease, tried: &mut Tried);

    /// What an attempt can expect of the one who was chosen.
    fn standing(&self, lease: &Self::Lease) -> Standing;

    /// Ends when it makes sense to ask for the standing of `lease`, or to choose, once
    /// more.
    fn changed(&self, lease: Option<&Self::Lease>) -> BoxFuture<'static, ()>;

    /// Sends what an attempt is about to the one who was chosen.
    fn send(&self, lease: &Self::Lease, request: Request) -> Self::Sending;

    /// The head of a response that comes in a stream is there.
    fn answered(&self, lease: &mut Self::Lease, now: Time);

    /// An attempt ended; `verdict` is what that says about who was chosen.
    fn settle(&self, lease: Self::Lease, verdict: &Verdict, now: Time);

    /// What is known of those who can be chosen, for people.
    fn snapshot(&self, now: Time) -> Option<serde_json::Value>;

    /// Brings its gauges up to date. By default there are none.
    fn publish(&self) {}
}

/// What an attempt sends. It is only put together where that is needed: it is large, and
/// so are its copies.
#[derive(Debug)]
pub struct Request {
    pub head: Parts,
    pub body: RequestBody,
}

/// What an attempt can expect of who was chosen for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Ready,
    /// There is no connection yet, and nothing that speaks against one.
    Hopeful,
    /// The last try to connect failed.
    Unreachable,
}
