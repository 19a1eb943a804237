//! Calls to one target, with all that makes them fail well.
//!
//! From the outside in, a call goes through its deadline (what its caller says, else
//! its policy, and never more than is left of the call that is being served), the
//! adaptive throttle, the bulkhead of the target, and retries or a hedge. Each attempt
//! has a timer that covers all below it up to the end of the response, goes through the
//! breaker of the target and through chaos, is given to an endpoint, and sent. To wait
//! for an endpoint, or for a connection, counts as part of the attempt.
//!
//! It is one service with one future and one body, and not a stack of layers: what is
//! not needed for a call costs it nothing.
//!
//! What the peer says is handed on as it is. What is decided here is a
//! [`tonic::Status`]: `DEADLINE_EXCEEDED` if time ran out, `UNAVAILABLE` if the
//! peer could not be reached or the connection was lost, and what
//! [`status`](super::status) says for the rest. Their sources tell them apart.

mod attempt;
mod builder;
mod call;
mod deadline;
mod ending;
mod future;
mod headers;
mod meter;
mod method;
mod peer;
mod prepare;
mod pulse;
mod response;
mod retry;
mod shared;
mod snapshot;
mod template;
mod timer;

use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower_service::Service;

use self::shared::Shared;

pub use self::builder::{BuildError, Builder};
pub use self::future::ResponseFuture;
pub use self::peer::{Over, OverSending, Peer, Request as AttemptRequest, Standing};
pub use self::snapshot::{MethodSnapshot, Snapshot};

/// Calls one target. Cheap to clone; all clones are one, with one breaker and one
/// budget.
///
/// It is always ready: a call that cannot be made is refused, and does not wait.
#[derive(Debug)]
pub struct Client<P> {
    shared: Arc<Shared<P>>,
}

impl<P: Peer> Client<P> {
    pub fn target(&self) -> &str {
        &self.shared.target
    }

    /// How it is now.
    pub fn snapshot(&self) -> Snapshot {
        self.shared.snapshot(self.shared.now())
    }
}

impl<P: Peer> Service<Request<Body>> for Client<P> {
    type Response = Response<Body>;
    type Error = Status;
    type Future = ResponseFuture<P>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> ResponseFuture<P> {
        ResponseFuture::begin(Arc::clone(&self.shared), request)
    }
}

impl<P> Clone for Client<P> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}
