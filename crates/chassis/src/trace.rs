//! The span of a call that is served: a part of its caller's trace, or the first of a
//! new one, whose id the caller is told as `trace-id`.
//!
//! It lasts until the answer is out or its caller has gone, and says how the call
//! ended, by the names of OpenTelemetry's semantic conventions. A call that comes through
//! a door is a span at `info`, so that it has an id without a collector, too; one that
//! comes from this process is at `debug`, and else a part of that.

mod body;
mod outcome;

use std::sync::{Arc, OnceLock};

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Level, Span};
use trellis_telemetry::propagation::{self, Remote};

pub use outcome::Cause;

pub(crate) use body::{Ends, Heard};
pub(crate) use outcome::code;

use crate::measure::{Calls, Series};
use outcome::Outcome;

const TRACE_ID: HeaderName = HeaderName::from_static("trace-id");

/// A call that is being served. It ends once: by an [`Outcome`], or when it is dropped.
#[derive(Debug)]
pub(crate) struct Served {
    span: Span,
    began: Instant,
    /// Whether it came from outside of the process; its end is a line of the log then.
    is_door: bool,
    call: Call,
    calls: Calls,
    /// `None` once it has ended.
    outcome: Option<Outcome>,
}

#[derive(Debug)]
enum Call {
    Grpc(Arc<Series>),
    Http(Method, Matched),
}

/// The template of the route that a request of HTTP took, once it is known.
#[derive(Clone, Debug, Default)]
struct Matched(Arc<OnceLock<String>>);

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
    pub(crate) fn begin<B>(request: &mut Request<B>, is_door: bool, calls: &Calls) -> Self {
        let is_grpc = request.headers().get(CONTENT_TYPE).is_some_and(is_grpc);
        let method = if is_grpc {
            request.uri().path().trim_start_matches('/')
        } else {
            request.method().as_str()
        };
        let span = match (is_grpc, is_door) {
            (true, true) => grpc_span!(Level::INFO, method),
            (true, false) => grpc_span!(Level::DEBUG, method),
            (false, true) => http_span!(Level::INFO, method),
            (false, false) => http_span!(Level::DEBUG, method),
        };
        if let Some(caller) = propagation::extract(request.headers()) {
            propagation::set_parent(&span, &caller);
        }
        let call = if is_grpc {
            Call::Grpc(calls.method(method))
        } else {
            let matched = Matched::default();
            request.extensions_mut().insert(matched.clone());
            Call::Http(request.method().clone(), matched)
        };
        let (began, calls) = (Instant::now(), calls.clone());
        Self { span, began, is_door, call, calls, outcome: Some(Outcome::Unknown) }
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
        match self.call {
            Call::Http(..) => {
                let cause = response.extensions_mut().remove::<Cause>();
                self.outcome = Some(Outcome::Http(response.status(), cause));
            }
            // An answer that is only an error has it in its head.
            Call::Grpc(_) => self.hear(response.headers()),
        }
    }

    fn measure(&self, outcome: &Outcome) {
        let (took, span) = (self.began.elapsed(), || Remote::of(&self.span));
        match (&self.call, outcome) {
            (Call::Grpc(series), Outcome::Grpc(cause)) => {
                self.calls.record(series, cause.code(), took, span);
            }
            (Call::Http(method, matched), Outcome::Http(status, _)) => {
                let route = matched.0.get().map_or("", String::as_str);
                self.calls.record_http((method, route, *status), took, span);
            }
            // Whoever asked over HTTP has gone before there was any status.
            _ => {}
        }
    }
}

impl Ends for Served {
    fn hear(&mut self, headers: &HeaderMap) {
        if let (Some(outcome), Some(cause)) =
            (&mut self.outcome, Cause::said(headers, self.is_door))
        {
            *outcome = Outcome::Grpc(cause);
        }
    }

    fn end(&mut self) {
        let Some(mut outcome) = self.outcome.take() else { return };
        if let (Call::Grpc(_), Outcome::Unknown) = (&self.call, &outcome) {
            // It ended without a status, which a caller takes for this one.
            outcome = Outcome::Grpc(Cause::unknown());
        }
        outcome.record(&self.span);
        self.measure(&outcome);
        if self.is_door {
            let _entered = self.span.enter();
            let duration_ms = self.began.elapsed().as_secs_f64() * 1_000.0;
            outcome.log((duration_ms * 1_000.0).round() / 1_000.0);
        }
    }

    fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        self.span.in_scope(work)
    }
}

impl Drop for Served {
    /// Whoever called has gone, if the answer is not out.
    fn drop(&mut self) {
        if let Some(outcome @ Outcome::Unknown) = &mut self.outcome {
            *outcome = Outcome::Grpc(Cause::cancelled());
        }
        self.end();
    }
}

fn is_grpc(content_type: &HeaderValue) -> bool {
    content_type.as_bytes().starts_with(b"application/grpc")
}

/// Names the route of the HTTP request that is being served, such as `/v1/orders/{id}`.
pub fn route<B>(request: &Request<B>, route: &str) {
    let span = Span::current();
    span.record("http.route", route);
    span.record("otel.name", format_args!("{} {route}", request.method()));
    if let Some(Matched(matched)) = request.extensions().get() {
        matched.get_or_init(|| route.to_owned());
    }
}
