//! How connections and calls fail, and what is known of a call that failed.
//!
//! A goodbye (GOAWAY) names the last stream that the peer processes, and only those
//! after it get an error that says so (RFC 9113, 6.8); if the connection of the others
//! dies, they get that of the transport. There is one more case: a goodbye that is
//! read while a request is being handed over. The head of that request may still be
//! written, and is cancelled at once, but its body is never read. A gRPC peer cannot
//! act on a message that it has not got, so it counts as not sent, too.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinError;

use crate::core::outcome::FailureKind;
use crate::net::SendError;
use crate::net::causes::find;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// It was refused, or there is no way to it.
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    /// It took longer than
    /// [`Settings::connect_timeout`](super::Settings::connect_timeout).
    #[error("no connection within {0:?}")]
    TimedOut(Duration),
    /// It accepted the connection and ended it before the first word of HTTP/2.
    #[error("the peer did not speak HTTP/2")]
    Silent(#[source] Option<hyper::Error>),
    /// It ended by an error.
    #[error("the connection was lost")]
    Lost(#[source] hyper::Error),
    /// It ended in order, but within a second and before it served a call.
    #[error("the connection was closed before it was of use")]
    Useless,
    /// It panicked, or its runtime is ending.
    #[error("the task of the connection failed")]
    Task(#[source] JoinError),
}

/// A call that found no connection and did not wait for one.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{endpoint} is left alone for {}ms", left.as_millis())]
pub struct Unavailable {
    pub endpoint: Arc<str>,
    /// Until the next attempt to connect.
    pub left: Duration,
    #[source]
    pub cause: Arc<ConnectionError>,
}

impl From<Unavailable> for SendError {
    fn from(unavailable: Unavailable) -> Self {
        Self { kind: FailureKind::Unsent, source: Box::new(unavailable) }
    }
}

/// What became of a request that got no response and was not given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The connection ended before the peer would process it, which says nothing
    /// against sending it on the next one.
    Overtaken,
    /// It was not processed, and would not be if it were sent again at once.
    Refused,
    /// Nobody knows.
    Lost,
}

impl Fate {
    /// `whole`: the request had a body that was there from the start.
    pub(super) fn of(error: &hyper::Error, whole: bool) -> Self {
        if error.is_canceled() || is_undispatched(error, whole) {
            return Self::Overtaken;
        }
        match find::<h2::Error>(error).filter(|cause| cause.is_remote()) {
            Some(cause) if cause.is_go_away() => Self::Overtaken,
            // RFC 9113, 8.7.
            Some(cause) if cause.reason() == Some(h2::Reason::REFUSED_STREAM) => Self::Refused,
            _ => Self::Lost,
        }
    }

    pub(super) fn explain(self, error: hyper::Error) -> SendError {
        let kind = match self {
            Self::Overtaken | Self::Refused => FailureKind::Unsent,
            Self::Lost => FailureKind::ConnectionLost,
        };
        SendError { kind, source: Box::new(error) }
    }
}

/// Whether the connection ended while the request waited for the peer to allow one
/// more stream, so that its body was not read yet. (A body that streams may also have
/// panicked, which looks the same.)
fn is_undispatched(error: &hyper::Error, whole: bool) -> bool {
    error.is_user() && whole
}
