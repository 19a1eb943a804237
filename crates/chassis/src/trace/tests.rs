//! Calls through a door, sampled and not.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use tower::Service as _;
use tracing::{Dispatch, Span, dispatcher};
use trellis_resilience::Environment;
use trellis_resilience::policy::PolicyTable;
use trellis_resilience::registry::Registry;
use trellis_telemetry::propagation::{self, Remote};
use trellis_telemetry::{Export, Format, Metrics, Settings, Telemetry};

use super::{Cause, route};
use crate::measure::Calls;
use crate::server::{Front, Server};

const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// What a process has logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// The one line that says `message`.
    fn line(&self, message: &str) -> Value {
        let log = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut lines = lines.filter(|line| line["message"] == message);
        let line = lines.next().unwrap_or_else(|| panic!("no `{message}` in {log}"));
        assert_eq!(lines.next(), None, "more than one line `{message}`");
        line
    }
}

fn telemetry(settings: &Settings) -> (Dispatch, Telemetry, Log) {
    let log = Log::default();
    let writer = log.clone();
    let (dispatch, telemetry) =
        trellis_telemetry::build("test", settings, Format::Json, move || writer.clone()).unwrap();
    (dispatch, telemetry, log)
}

/// Nobody listens there, but what goes there is sampled all the same.
fn exporting() -> Settings {
    Settings { export: Some(Export::to("http://127.0.0.1:9")), ..Settings::default() }
}

/// What a handler sees, and what it tells a peer.
#[derive(Clone, Debug, Default)]
struct Seen(Arc<Mutex<Option<(bool, HeaderMap)>>>);

impl Seen {
    fn look(&self) {
        let mut told = HeaderMap::new();
        propagation::inject(&mut told);
        *self.0.lock().unwrap() = Some((Span::current().is_none(), told));
        tracing::warn!("at work");
    }

    fn handlers(&self) -> Router {
        let (rpc, rest) = (self.clone(), self.clone());
        let rpc = async move || {
            rpc.look();
            [("grpc-status", "5")]
        };
        let rest = async move |request: Request<Body>| {
            route(&request, "/v1/orders/{id}");
            rest.look();
            let details = ErrorDetails::with_error_info("GONE", "test", []);
            let status = Status::with_error_details(Code::NotFound, "it is gone", details);
            (StatusCode::NOT_FOUND, Extension(Cause::of(&status)))
        };
        Router::new().route("/shop.Shop/Get", post(rpc)).route("/v1/orders/{id}", get(rest))
    }

    /// Whether there is no span, and who a peer is told to come from.
    fn take(&self) -> (bool, Remote) {
        let (is_none, told) = self.0.lock().unwrap().take().unwrap();
        (is_none, propagation::extract(&told).unwrap())
    }
}

fn rpc() -> Request<Body> {
    let request = Request::post("/shop.Shop/Get?who=ada@example.com");
    request.header(CONTENT_TYPE, "application/grpc").body(Body::empty()).unwrap()
}

fn rest() -> Request<Body> {
    Request::get("/v1/orders/ada@example.com").body(Body::empty()).unwrap()
}

/// Comes through a door, and is read to its end.
async fn call(handlers: Router, request: Request<Body>) -> Response<()> {
    let registry = Registry::new(Environment::tokio());
    let calls = Calls::served(&Metrics::default(), &Arc::default());
    let door = Front::limited("test", PolicyTable::default(), &registry, calls);
    let response = Server::new(handlers, &door).call(request).await.unwrap();
    let (head, body) = response.into_parts();
    body.collect().await.unwrap();
    Response::from_parts(head, ())
}

fn keys(line: &Value) -> BTreeSet<&str> {
    line.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn a_call_that_nobody_looks_at_has_no_span_but_its_ids_are_everywhere() {
    for request in [rpc(), rest()] {
        let (dispatch, _telemetry, log) = telemetry(&Settings::default());
        let _traced = dispatcher::set_default(&dispatch);
        let seen = Seen::default();

        let answer = call(seen.handlers(), request).await;

        let (is_none, told) = seen.take();
        assert!(is_none && !told.is_sampled());
        let trace = told.trace_id().to_string();
        assert_eq!(answer.headers()["trace-id"], trace);
        for message in ["at work", "served"] {
            let line = log.line(message);
            assert_eq!(line["trace_id"], trace, "{message}");
            assert_eq!(line["span_id"], told.span_id().to_string(), "{message}");
        }
        assert_eq!(propagation::current_trace_id(), None);
    }
}

#[tokio::test]
async fn a_caller_finds_its_own_ids_at_the_other_end_of_a_call_that_has_no_span() {
    let (dispatch, _telemetry, _log) = telemetry(&Settings::default());
    let _traced = dispatcher::set_default(&dispatch);
    let (seen, mut request) = (Seen::default(), rpc());
    request.headers_mut().insert("traceparent", SAMPLED.parse().unwrap());

    call(seen.handlers(), request).await;

    let (is_none, told) = seen.take();
    assert!(is_none);
    assert_eq!(told.to_string(), SAMPLED);
}

#[tokio::test]
async fn a_call_that_its_caller_samples_has_a_span_of_its_trace() {
    let (dispatch, telemetry, log) = telemetry(&exporting());
    let _traced = dispatcher::set_default(&dispatch);
    let (seen, mut request) = (Seen::default(), rpc());
    request.headers_mut().insert("traceparent", SAMPLED.parse().unwrap());

    let answer = call(seen.handlers(), request).await;

    let ((is_none, told), caller) = (seen.take(), Remote::parse(SAMPLED).unwrap());
    assert!(!is_none && told.is_sampled());
    assert_eq!(told.trace_id(), caller.trace_id());
    assert_ne!(told.span_id(), caller.span_id());
    assert_eq!(answer.headers()["trace-id"], caller.trace_id().to_string());
    assert_eq!(log.line("served")["span_id"], told.span_id().to_string());
    telemetry.stop().await;
}

#[tokio::test]
async fn the_line_of_a_call_says_what_was_called_whether_it_is_sampled_or_not() {
    let ids = ["trace_id", "span_id", "timestamp", "level", "message", "target", "duration_ms"];
    let rpc_line = json!({"rpc.method": "shop.Shop/Get", "code": "NOT_FOUND"});
    let rest_line = json!({
        "http.request.method": "GET",
        "http.route": "/v1/orders/{id}",
        "status": 404,
        "code": "NOT_FOUND",
        "reason": "GONE",
    });
    for settings in [Settings::default(), exporting()] {
        for (request, expected) in [(rpc(), &rpc_line), (rest(), &rest_line)] {
            let (dispatch, telemetry, log) = telemetry(&settings);
            let _traced = dispatcher::set_default(&dispatch);

            call(Seen::default().handlers(), request).await;

            let line = log.line("served");
            assert_eq!(keys(&line), &keys(expected) | &BTreeSet::from(ids));
            for (key, value) in expected.as_object().unwrap() {
                assert_eq!(&line[key], value, "{key}");
            }
            assert!(line["duration_ms"].is_number());
            assert_eq!(line["target"], "trellis_chassis::trace::outcome");
            assert!(!line.to_string().contains("example.com"), "{line}");
            telemetry.stop().await;
        }
    }
}

#[tokio::test]
async fn a_call_that_is_given_up_is_a_line_with_its_ids() {
    let (dispatch, _telemetry, log) = telemetry(&Settings::default());
    let _traced = dispatcher::set_default(&dispatch);
    let hangs = Router::new().route("/shop.Shop/Get", post(std::future::pending::<()>));

    let mut call = Box::pin(call(hangs, rpc()));
    assert!(futures::poll!(call.as_mut()).is_pending());
    drop(call);

    let line = log.line("served");
    let method = (&line["code"], &line["rpc.method"]);
    assert_eq!(method, (&json!("CANCELLED"), &json!("shop.Shop/Get")));
    assert_eq!(line["trace_id"].as_str().unwrap().len(), 32);
}
