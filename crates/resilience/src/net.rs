//! The way to a fleet of peers: who they are, which one takes the next call, and the
//! connection to each.

pub mod balance;
mod causes;
pub mod connect;
pub mod endpoint;
mod ewma;
pub mod fleet;
pub mod linger;
pub mod outlier;
pub mod resolve;
pub mod subset;
mod task;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::core::outcome::FailureKind;

/// Where one instance of a peer is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    pub socket: SocketAddr,
    /// Where it runs, if that is known; see [`subset`].
    pub zone: Option<Arc<str>>,
}

/// An attempt that ended without a response.
#[derive(Debug)]
pub struct SendError {
    /// [`FailureKind::Unsent`] if the peer provably did not see it, else
    /// [`FailureKind::ConnectionLost`].
    pub kind: FailureKind,
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            FailureKind::Unsent => "the request was not sent",
            _ => "the connection was lost",
        })
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.source.as_ref())
    }
}

impl From<SocketAddr> for Address {
    fn from(socket: SocketAddr) -> Self {
        Self { socket, zone: None }
    }
}
