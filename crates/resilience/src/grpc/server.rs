//! What surrounds every handler: its deadline, a limit, and a net under its panics.
//!
//! A *deadline* is set by a caller (`grpc-timeout`), covers the whole call with its
//! stream, and is handed on ([`crate::context`]). Calls without one are only kept from
//! hanging: the head of their answer has to come within the server's *patience*, which
//! is counted anew from each piece of the request's body and is not handed on. So a
//! long upload or a long stream needs no deadline.
//!
//! A call counts as in flight until its answer is complete, which for a unary one is
//! when its handler has answered, however slowly the caller reads. Streams that are
//! named as such count until their head.
//!
//! It works on requests whose content type is `application/grpc`. All others pass
//! untouched, and only their panics are caught. Inside of a layer that translates
//! another protocol to gRPC, put it nearer to the handlers.

mod body;
mod builder;
mod call;
mod gate;
mod head;
mod measures;
mod panics;
mod patience;
mod shared;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use serde::Serialize;
use tower_layer::Layer;
use tower_service::Service;

use self::shared::Shared;
use crate::core::limit;

pub use self::body::ResponseBody;
pub use self::builder::{Builder, HEAD_START, PATIENCE};
pub use self::patience::Watched;

/// Puts a [`Server`] around a service. All that it makes share one limit.
#[derive(Clone, Debug)]
pub struct ServerLayer(Arc<Shared>);

/// A service with all that surrounds its handlers.
///
/// It is always ready: whether a call may go on is decided when it comes.
#[derive(Clone, Debug)]
pub struct Server<S> {
    inner: S,
    shared: Arc<Shared>,
}

/// What there is to know about a server.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Snapshot {
    pub name: String,
    /// `None` if there is no limit.
    pub limiter: Option<limit::Snapshot>,
    /// How many calls wait.
    pub waiting: usize,
    /// Whether they wait in a queue that is not worked off.
    pub is_standing: bool,
}

impl ServerLayer {
    /// `name` is that of the server in metrics.
    pub fn builder(name: &str) -> Builder {
        Builder::new(name)
    }

    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// How it is now.
    pub fn snapshot(&self) -> Snapshot {
        self.0.snapshot()
    }
}

impl<S> Layer<S> for ServerLayer {
    type Service = Server<S>;

    fn layer(&self, inner: S) -> Server<S> {
        Server { inner, shared: Arc::clone(&self.0) }
    }
}

impl<S, B, R> Service<Request<B>> for Server<S>
where
    S: Service<Request<Watched<B>>, Response = Response<R>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: Body<Data = Bytes> + Unpin + Send + 'static,
    R::Error: Send,
{
    type Response = Response<ResponseBody<R>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The clone is made ready where the call may go on, and not before.
        let answer = call::answer(Arc::clone(&self.shared), self.inner.clone(), request);
        Box::pin(async move { Ok(answer.await) })
    }
}

#[cfg(test)]
mod tests;
