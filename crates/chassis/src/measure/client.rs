//! Calls to a peer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Request, Response};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;
use trellis_resilience::grpc::status::Local;
use trellis_telemetry::propagation::Remote;

use super::{Calls, Series};
use crate::trace::{Ends, Heard, code};

/// A client whose calls are measured.
#[derive(Clone, Debug)]
pub(crate) struct Measured<S> {
    inner: S,
    calls: Calls,
}

impl<S> Measured<S> {
    pub(crate) fn new(inner: S, calls: Calls) -> Self {
        Self { inner, calls }
    }
}

impl<S> Service<Request<Body>> for Measured<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Status>,
{
    type Response = Response<Body>;
    type Error = Status;
    type Future = MeasuredFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let call = Call {
            series: self.calls.method(request.uri().path().trim_start_matches('/')),
            calls: self.calls.clone(),
            began: Instant::now(),
            code: None,
            has_ended: false,
        };
        MeasuredFuture { inner: self.inner.call(request), call: Some(call) }
    }
}

pin_project! {
    /// The answer to a call that is measured.
    #[derive(Debug)]
    pub(crate) struct MeasuredFuture<F> {
        #[pin]
        inner: F,
        call: Option<Call>,
    }
}

/// A call on its way. It ends once; one that is given up was cancelled.
#[derive(Debug)]
struct Call {
    series: Arc<Series>,
    calls: Calls,
    began: Instant,
    /// What the peer said.
    code: Option<Code>,
    has_ended: bool,
}

impl<F: Future<Output = Result<Response<Body>, Status>>> Future for MeasuredFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let answer = ready!(this.inner.poll(cx));
        let mut call = this.call.take().expect("it is not polled again once it is ready");
        Poll::Ready(match answer {
            Ok(response) => {
                call.hear(response.headers());
                Ok(response.map(|body| Body::new(Heard::new(body, call))))
            }
            Err(status) => {
                call.note_refusal(&status);
                call.code = Some(status.code());
                call.end();
                Err(status)
            }
        })
    }
}

impl Call {
    /// What was decided here, such as by a breaker that is open, is an event of the
    /// caller's span: there is no span of the peer that could tell of it.
    fn note_refusal(&self, status: &Status) {
        if let Some(local) = Local::of(status) {
            let attributes = [("peer", self.calls.peer()), ("reason", local.reason())];
            let attributes = attributes.map(|(key, value)| (key, value.into()));
            trellis_telemetry::event("call was not answered", attributes);
        }
    }
}

impl Ends for Call {
    fn hear(&mut self, headers: &HeaderMap) {
        self.code = code(headers).or(self.code);
    }

    /// An answer that does not say how it ended is one of nobody knows what.
    fn end(&mut self) {
        if !std::mem::replace(&mut self.has_ended, true) {
            let code = self.code.unwrap_or(Code::Unknown);
            self.calls.record(&self.series, code, self.began.elapsed(), Remote::current);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.code.get_or_insert(Code::Cancelled);
        self.end();
    }
}
