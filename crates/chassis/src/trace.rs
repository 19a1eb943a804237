//! The span of a call that is served: a part of its caller's trace, or the first of a
//! new one, whose id the caller is told as `trace-id`.
//!
//! It lasts until the answer is out or its caller has gone, and says how the call
//! ended, by the names of OpenTelemetry's semantic conventions. A call that comes through
//! a door is a span at `info`, so that it has an id without a collector, too; one that
//! comes from this process is at `debug`, and else a part of that.

mod body;
mod outcome;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::time::Instant;
use tonic::Code;
use tracing::field::Empty;
use tracing::{Level, Span};
use trellis_telemetry::propagation;

pub(crate) use body::Traced;

use outcome::Outcome;

const TRACE_ID: HeaderName = HeaderName::from_static("trace-id");

/// A call that is being served. It ends once: by an [`Outcome`], or when it is dropped.
#[derive(Debug)]
pub(crate) struct Served {
    span: Span,
    began: Instant,
    /// Whether it came from outside of the process; its end is a line of the log then.
    is_door: bool,
    protocol: Protocol,
    /// `None` once it has ended.
    outcome: Option<Outcome>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Grpc,
    Http,
}

/// The level is a constant of each place that makes a span.
macro_rules! grpc_span {
    ($level:expr, $method:ident) => {
        tracing::span!(
            $level,
            "grpc",
            otel.kind = "server",
            otel.name = $method,
            otel.status_code = Empty,
            "rpc.system.name" = "grpc",
            "rpc.method" = $method,
            "rpc.response.status_code" = Empty,
            "error.type" = Empty,
        )
    };
}

/// Its path may name a customer or an order, so only the route is told, by whoever
/// knows it.
macro_rules! http_span {
    ($level:expr, $method:ident) => {
        tracing::span!(
            $level,
            "http",
            otel.kind = "server",
            otel.name = $method,
            otel.status_code = Empty,
            "http.request.method" = $method,
            "http.route" = Empty,
            "http.response.status_code" = Empty,
            "error.type" = Empty,
        )
    };
}

impl Served {
    pub(crate) fn begin<B>(request: &Request<B>, is_door: bool) -> Self {
        let is_grpc = request.headers().get(CONTENT_TYPE).is_some_and(is_grpc);
        let (method, protocol) = if is_grpc {
            (request.uri().path().trim_start_matches('/'), Protocol::Grpc)
        } else {
            (request.method().as_str(), Protocol::Http)
        };
        let span = match (protocol, is_door) {
            (Protocol::Grpc, true) => grpc_span!(Level::INFO, method),
            (Protocol::Grpc, false) => grpc_span!(Level::DEBUG, method),
            (Protocol::Http, true) => http_span!(Level::INFO, method),
            (Protocol::Http, false) => http_span!(Level::DEBUG, method),
        };
        if let Some(caller) = propagation::extract(request.headers()) {
            propagation::set_parent(&span, &caller);
        }
        let outcome = Some(Outcome::Unknown);
        Self { span, began: Instant::now(), is_door, protocol, outcome }
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// The head of the answer, which is told its trace.
    pub(crate) fn answer<B>(&mut self, response: &mut Response<B>) {
        if let Some(trace_id) = propagation::trace_id(&self.span) {
            let value = HeaderValue::try_from(trace_id.to_string());
            response.headers_mut().insert(TRACE_ID, value.expect("hex digits are a value"));
        }
        match self.protocol {
            Protocol::Http => self.outcome = Some(Outcome::Http(response.status())),
            // An answer that is only an error has it in its head.
            Protocol::Grpc => self.hear(response.headers()),
        }
    }

    /// Headers or trailers, which may say how the call ended.
    fn hear(&mut self, headers: &HeaderMap) {
        if let (Some(outcome), Some(said)) = (&mut self.outcome, Outcome::grpc(headers)) {
            *outcome = said;
        }
    }

    /// The answer is out.
    fn end(&mut self) {
        let Some(outcome) = self.outcome.take() else { return };
        outcome.record(&self.span);
        if self.is_door {
            let _entered = self.span.enter();
            let duration_ms = self.began.elapsed().as_secs_f64() * 1_000.0;
            outcome.log((duration_ms * 1_000.0).round() / 1_000.0);
        }
    }
}

impl Drop for Served {
    /// Whoever called has gone, if the answer is not out.
    fn drop(&mut self) {
        if let Some(outcome @ Outcome::Unknown) = &mut self.outcome {
            *outcome = Outcome::Grpc { code: Code::Cancelled, reason: None };
        }
        self.end();
    }
}

fn is_grpc(content_type: &HeaderValue) -> bool {
    content_type.as_bytes().starts_with(b"application/grpc")
}

/// Names the route of the HTTP request that is being served, such as `/v1/orders/{id}`.
pub fn route(method: &str, route: &str) {
    let span = Span::current();
    span.record("http.route", route);
    span.record("otel.name", format_args!("{method} {route}"));
}
