//! What surrounds every handler, on the network's road and on the local one: its
//! trace, its deadline, and a net under its panics.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use futures::FutureExt as _;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use tokio::time::Instant;
use tower::Service as _;
use tracing::Instrument as _;

use crate::deadline::{self, Ending, Pulse, SERVER_PATIENCE, Touching, Until};
use crate::shutdown;
use crate::trace::{self, Trace};

/// A router with all that surrounds its handlers. Always ready, never serial.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    router: Router,
}

impl Server {
    pub(crate) fn new(router: Router) -> Self {
        // With its state given, the router does not rebuild itself for each call.
        Self { router: router.with_state(()) }
    }
}

impl tower::Service<Request<Body>> for Server {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let router = self.router.clone();
        Box::pin(async move { Ok(answer(router, request).await) })
    }
}

async fn answer(router: Router, request: Request<Body>) -> Response<Body> {
    let trace = Trace::of(request.headers());
    let is_grpc = is_grpc(request.headers());
    let span = tracing::info_span!("call", method = request.uri().path(), trace_id = %trace);

    let call = async {
        let call = async {
            if is_grpc { in_time(router, request).await } else { run(router, request).await }
        };
        match AssertUnwindSafe(call).catch_unwind().await {
            Ok(response) => response,
            Err(panic) => {
                tracing::error!(error = shutdown::said(panic.as_ref()), "handler failed");
                broken(is_grpc)
            }
        }
    };
    let mut response = trace::scope(trace, call.instrument(span)).await;
    trace.answer(response.headers_mut());
    response
}

/// Answers by the caller's deadline, or within [`SERVER_PATIENCE`] where there is none.
async fn in_time(router: Router, request: Request<Body>) -> Response<Body> {
    match deadline::parse(request.headers()) {
        Ok(Some(timeout)) => by_deadline(router, request, timeout).await,
        Ok(None) => {
            let pulse = Pulse::new();
            let request = request.map(|body| Body::new(Touching::new(body, pulse.clone())));
            let call = deadline::scope(None, run(router, request));
            tokio::select! {
                biased;
                response = call => response,
                () = pulse.lost(SERVER_PATIENCE) => deadline::exceeded().into_http(),
            }
        }
        Err(status) => status.into_http(),
    }
}

async fn by_deadline(router: Router, request: Request<Body>, timeout: Duration) -> Response<Body> {
    if timeout.is_zero() {
        return deadline::exceeded().into_http();
    }
    let deadline = Instant::now() + timeout;
    let call = deadline::scope(Some(deadline), run(router, request));
    match tokio::time::timeout_at(deadline, call).await {
        Ok(response) => {
            response.map(|body| Body::new(Until::new(body, deadline, Ending::Trailers)))
        }
        Err(_) => deadline::exceeded().into_http(),
    }
}

async fn run(mut router: Router, request: Request<Body>) -> Response<Body> {
    match router.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// The answer of a handler that panicked: it says nothing, since it knows nothing.
fn broken(is_grpc: bool) -> Response<Body> {
    if is_grpc {
        return trellis_api::error::internal().into_http();
    }
    let body = r#"{"error":{"code":500,"status":"INTERNAL","message":"internal error"}}"#;
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use axum::routing::post;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_hangs_without_a_deadline_is_given_up() {
        let router = Router::new().route("/hang", post(std::future::pending::<()>));
        let mut request = Request::post("/hang").body(Body::empty()).unwrap();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        let start = Instant::now();

        let response = answer(router, request).await;

        assert_eq!(response.headers()["grpc-status"], "4");
        assert_eq!(start.elapsed().as_secs(), SERVER_PATIENCE.as_secs());
    }

    #[tokio::test]
    async fn a_panic_answers_those_who_speak_json_in_json() {
        let router = Router::new().route("/", post(async || -> () { panic!("on purpose") }));
        let request = Request::post("/").body(Body::empty()).unwrap();

        let response = answer(router, request).await;

        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        assert!(response.headers().contains_key("trace-id"));
    }
}
