//! One service, such as one in this process.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use futures::future::{self, BoxFuture, FutureExt as _};
use http::Response;
use pin_project_lite::pin_project;
use tonic::body::Body;
use tower_service::Service;

use super::{BoxError, Peer, Request, Standing};
use crate::core::clock::Time;
use crate::core::outcome::Verdict;
use crate::grpc::client::ending::lost;
use crate::net::SendError;
use crate::net::balance::Tried;

/// Every attempt goes to a clone of the service. Waiting for it to become ready counts
/// as part of the attempt.
#[derive(Clone)]
pub struct Over<S>(S);

pin_project! {
    /// An attempt at a service.
    #[project = Projected]
    pub enum OverSending<S: Service<http::Request<Body>>> {
        #[doc(hidden)]
        Readying { waiting: Box<(S, Option<http::Request<Body>>)> },
        #[doc(hidden)]
        Called { #[pin] response: S::Future },
        #[doc(hidden)]
        Failed { error: Option<SendError> },
    }
}

impl<S> Over<S> {
    pub(in crate::grpc::client) fn new(service: S) -> Self {
        Self(service)
    }
}

impl<S, B> Peer for Over<S>
where
    S: Service<http::Request<Body>, Response = Response<B>, Error: Into<BoxError>>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Body = B;
    type Lease = ();
    type Sending = OverSending<S>;

    fn choose(&self, _: &Tried, _: Time) -> Option<()> {
        Some(())
    }

    fn has_other(&self, _: &Tried) -> Option<bool> {
        None
    }

    fn note(&self, (): &(), _: &mut Tried) {}

    fn standing(&self, (): &()) -> Standing {
        Standing::Ready
    }

    fn changed(&self, _: Option<&()>) -> BoxFuture<'static, ()> {
        future::ready(()).boxed()
    }

    fn send(&self, (): &(), request: Request) -> OverSending<S> {
        let mut service = self.0.clone();
        let request = http::Request::from_parts(request.head, Body::from(request.body));
        // Most services are. Who is not is asked again by whoever can be woken.
        match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => OverSending::Called { response: service.call(request) },
            Poll::Ready(Err(error)) => OverSending::Failed { error: Some(lost(error)) },
            Poll::Pending => OverSending::Readying { waiting: Box::new((service, Some(request))) },
        }
    }

    fn answered(&self, (): &mut (), _: Time) {}

    fn settle(&self, (): (), _: &Verdict, _: Time) {}

    fn snapshot(&self, _: Time) -> Option<serde_json::Value> {
        None
    }
}

impl<S, B> Future for OverSending<S>
where
    S: Service<http::Request<Body>, Response = Response<B>, Error: Into<BoxError>>,
{
    type Output = Result<Response<B>, SendError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let response = match self.as_mut().project() {
                Projected::Called { response } => return response.poll(cx).map_err(lost),
                Projected::Failed { error } => {
                    return Poll::Ready(Err(error.take().expect("it fails once")));
                }
                Projected::Readying { waiting } => {
                    let (service, request) = &mut **waiting;
                    ready!(service.poll_ready(cx)).map_err(lost)?;
                    service.call(request.take().expect("it is sent once"))
                }
            };
            self.set(Self::Called { response });
        }
    }
}

impl<S> fmt::Debug for Over<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Over").finish_non_exhaustive()
    }
}

impl<S: Service<http::Request<Body>>> fmt::Debug for OverSending<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OverSending").finish_non_exhaustive()
    }
}
