//! The span of a call that is served: a part of its caller's trace, or the first of a
//! new one, whose id the caller is told as `trace-id`.
//!
//! It lasts until the answer is out or its caller has gone, and says how the call
//! ended, by the names of OpenTelemetry's semantic conventions. A call that comes through
//! a door is a span at `info`, if its trace is sampled, and has ids all the same if it is
//! not; one that comes from this process is at `debug`, and else a part of that.
//!
//! The end of a call that came through a door is a line of the log, which says itself
//! what was called: it is the same whether there is a span or not, and the log does not
//! show that span.

mod body;
mod outcome;
mod span;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use http::header::CONTENT_TYPE;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use tokio::time::Instant;
use tracing::Span;
use trellis_telemetry::{Scope, propagation};

pub use outcome::Cause;

pub(crate) use body::{Ends, Heard};
pub(crate) use outcome::code;

use crate::measure::{Calls, Series};
use outcome::Outcome;

const TRACE_ID: HeaderName = HeaderName::from_static("trace-id");

/// A call that is being served. It ends once: by an [`Outcome`], or when it is dropped.
#[derive(Debug)]
pub(crate) struct Served {
    scope: Scope,
    began: Instant,
    /// Whether it came from outside of the process; its end is a line of the log then.
    is_door: bool,
    call: Call,
    calls: Calls,
    /// `None` once it has ended.
    outcome: Option<Outcome>,
}

/// What is called.
#[derive(Debug)]
enum Call {
    /// The path is only `None` if the request has none.
    Grpc(Option<PathAndQuery>, Arc<Series>),
    Http(Method, Matched),
}

/// The template of the route that a request of HTTP took, once it is known.
#[derive(Clone, Debug, Default)]
struct Matched(Arc<OnceLock<String>>);

impl Served {
    pub(crate) fn begin<B>(request: &mut Request<B>, is_door: bool, calls: &Calls) -> Self {
        let is_grpc = request.headers().get(CONTENT_TYPE).is_some_and(is_grpc);
        let method = if is_grpc {
            request.uri().path().trim_start_matches('/')
        } else {
            request.method().as_str()
        };
        let caller = propagation::extract(request.headers());
        let scope = if is_door {
            span::of_door(caller.as_ref(), is_grpc, method)
        } else {
            span::inside(caller.as_ref(), is_grpc, method)
        };
        let call = if is_grpc {
            Call::Grpc(request.uri().path_and_query().cloned(), calls.method(method))
        } else {
            let matched = Matched::default();
            request.extensions_mut().insert(matched.clone());
            Call::Http(request.method().clone(), matched)
        };
        let (began, calls) = (Instant::now(), calls.clone());
        Self { scope, began, is_door, call, calls, outcome: Some(Outcome::Unknown) }
    }

    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The head of the answer, which is told its trace.
    pub(crate) fn answer<B>(&mut self, response: &mut Response<B>) {
        if let Some(trace_id) = self.scope.trace_id() {
            response.headers_mut().insert(TRACE_ID, propagation::header(trace_id));
        }
        match self.call {
            Call::Http(..) => {
                let cause = response.extensions_mut().remove::<Cause>();
                self.outcome = Some(Outcome::Http(response.status(), cause));
            }
            // An answer that is only an error has it in its head.
            Call::Grpc(..) => self.hear(response.headers()),
        }
    }

    fn measure(&self, outcome: &Outcome) {
        let (took, span) = (self.began.elapsed(), || self.scope.remote());
        match (&self.call, outcome) {
            (Call::Grpc(_, series), Outcome::Grpc(cause)) => {
                self.calls.record(series, cause.code(), took, span);
            }
            (Call::Http(method, matched), Outcome::Http(status, _)) => {
                let route = matched.get().unwrap_or_default();
                self.calls.record_http((method, route, *status), took, span);
            }
            // Whoever asked over HTTP has gone before there was any status.
            _ => {}
        }
    }
}

impl Call {
    /// What is called by gRPC, such as `package.Service/Method`.
    fn rpc_method(path: Option<&PathAndQuery>) -> &str {
        path.map_or("", PathAndQuery::path).trim_start_matches('/')
    }
}

impl Matched {
    /// The template, such as `/v1/orders/{id}`.
    fn get(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
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
        if let (Call::Grpc(..), Outcome::Unknown) = (&self.call, &outcome) {
            // It ended without a status, which a caller takes for this one.
            outcome = Outcome::Grpc(Cause::unknown());
        }
        outcome.record(self.scope.span());
        self.measure(&outcome);
        if self.is_door {
            let duration_ms = self.began.elapsed().as_secs_f64() * 1_000.0;
            let duration_ms = (duration_ms * 1_000.0).round() / 1_000.0;
            self.scope.in_scope(|| outcome.log(&self.call, duration_ms));
        }
    }

    fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        self.scope.in_scope(work)
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
