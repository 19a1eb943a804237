//! What surrounds every call to a peer, on both roads: the trace that goes along,
//! and the limit of its time.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tower::ServiceExt as _;

use crate::deadline::{self, CLIENT_PATIENCE, Ending, Pulse, Touching, Until};
use crate::trace;

/// Calls `S` with the trace and the deadline of the call that is being served.
///
/// It is always ready: waiting for `S` to become so counts against the deadline.
#[derive(Clone, Debug)]
pub(crate) struct Client<S> {
    inner: S,
}

impl<S> Client<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S> tower::Service<Request<Body>> for Client<S>
where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Status>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Some(trace) = trace::current() {
            trace.send(request.headers_mut());
        }
        let peer = self.inner.clone();
        Box::pin(async move {
            match deadline_of(&request)? {
                Some(deadline) => by_deadline(peer, request, deadline).await,
                None => patiently(peer, request).await,
            }
        })
    }
}

/// The earlier of what the request says and what the call that is being served has.
fn deadline_of(request: &Request<Body>) -> Result<Option<Instant>, Status> {
    let explicit = deadline::parse(request.headers())?.map(|timeout| Instant::now() + timeout);
    Ok(match (explicit, deadline::inbound()) {
        (Some(explicit), Some(inbound)) => Some(explicit.min(inbound)),
        (explicit, inbound) => explicit.or(inbound),
    })
}

async fn by_deadline<S>(
    peer: S,
    mut request: Request<Body>,
    deadline: Instant,
) -> Result<Response<Body>, Status>
where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Status>,
{
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(deadline::exceeded());
    }
    deadline::write(request.headers_mut(), left);
    // The peer is told, and not trusted: one that hangs must not hold the caller.
    match tokio::time::timeout_at(deadline, peer.oneshot(request)).await {
        Ok(answer) => Ok(answer?.map(|body| Body::new(Until::new(body, deadline, Ending::Error)))),
        Err(_) => Err(deadline::exceeded()),
    }
}

async fn patiently<S>(peer: S, request: Request<Body>) -> Result<Response<Body>, Status>
where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Status>,
{
    let pulse = Pulse::new();
    let request = request.map(|body| Body::new(Touching::new(body, pulse.clone())));
    tokio::select! {
        biased;
        answer = peer.oneshot(request) => answer,
        () = pulse.lost(CLIENT_PATIENCE) => Err(deadline::exceeded()),
    }
}
