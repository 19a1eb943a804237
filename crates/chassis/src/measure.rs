//! How long calls take and how they end, by method: the same for those that a process
//! serves and for those that it makes.
//!
//! Names and labels are those of OpenTelemetry's semantic conventions for RPC and HTTP.
//! Paths come from whoever calls, so only methods that somebody serves count by name.

mod client;
mod facade;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use http::{Method, StatusCode};
use tonic::Code;
use trellis_resilience::grpc::code::name;
use trellis_telemetry::Metrics;
use trellis_telemetry::metrics::{Definition, Histogram, OTHER};
use trellis_telemetry::propagation::Remote;

pub(crate) use client::Measured;
pub(crate) use facade::Facade;

const SERVER: Definition<Histogram, 2> = Histogram::seconds(
    "rpc.server.call.duration",
    "How long calls were served, until the answer was out.",
    ["rpc.method", "rpc.response.status_code"],
);
const CLIENT: Definition<Histogram, 3> = Histogram::seconds(
    "rpc.client.call.duration",
    "How long calls to a peer took, all attempts together.",
    ["peer", "rpc.method", "rpc.response.status_code"],
);
const HTTP: Definition<Histogram, 3> = Histogram::seconds(
    "http.server.request.duration",
    "How long requests of HTTP were served, until the answer was out.",
    ["http.request.method", "http.route", "http.response.status_code"],
);

/// The codes of gRPC are 0 to 16.
const CODES: usize = 17;

/// Measures calls of one side. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Calls(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    metrics: Metrics,
    side: Side,
    methods: RwLock<HashMap<String, Arc<Series>>>,
    other: Arc<Series>,
}

#[derive(Debug)]
enum Side {
    /// With the methods that somebody serves.
    Server(Arc<HashSet<String>>),
    /// With whom is called. All methods are those of generated clients.
    Client(&'static str),
}

/// The calls of one method, by their ends.
#[derive(Debug)]
pub(crate) struct Series {
    method: String,
    by_code: [OnceLock<Histogram>; CODES],
}

impl Calls {
    /// `methods` are those that are counted by name, such as `package.Service/Method`.
    pub(crate) fn served(metrics: &Metrics, methods: &Arc<HashSet<String>>) -> Self {
        Self::new(metrics, Side::Server(Arc::clone(methods)))
    }

    pub(crate) fn made(metrics: &Metrics, peer: &'static str) -> Self {
        Self::new(metrics, Side::Client(peer))
    }

    fn new(metrics: &Metrics, side: Side) -> Self {
        let (metrics, other) = (metrics.clone(), Arc::new(Series::new(OTHER)));
        Self(Arc::new(Shared { metrics, side, methods: RwLock::default(), other }))
    }

    /// Where the calls of a method are counted; `path` has no `/` in front.
    pub(crate) fn method(&self, path: &str) -> Arc<Series> {
        let known = self.0.methods.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = known.get(path) {
            return Arc::clone(series);
        }
        drop(known);
        match &self.0.side {
            Side::Server(methods) if !methods.contains(path) => Arc::clone(&self.0.other),
            _ => {
                let mut methods = self.0.methods.write().unwrap_or_else(PoisonError::into_inner);
                let new = || Arc::new(Series::new(path));
                Arc::clone(methods.entry(path.to_owned()).or_insert_with(new))
            }
        }
    }

    /// With whom is called; empty where calls are served.
    pub(crate) fn peer(&self) -> &'static str {
        match self.0.side {
            Side::Server(_) => "",
            Side::Client(peer) => peer,
        }
    }

    /// A call has ended. `span` is that of the call, which is asked for seldom.
    pub(crate) fn record(
        &self,
        series: &Series,
        code: Code,
        took: Duration,
        span: impl FnOnce() -> Option<Remote>,
    ) {
        let histogram = series.by_code[code as usize].get_or_init(|| {
            let (metrics, method) = (&self.0.metrics, &*series.method);
            match self.0.side {
                Side::Server(_) => metrics.get(&SERVER, [method, name(code)]),
                Side::Client(peer) => metrics.get(&CLIENT, [peer, method, name(code)]),
            }
        });
        histogram.record_example(took, span);
    }

    /// As [`record`](Self::record), for a request of HTTP; `route` is a template, and
    /// empty if there was none.
    pub(crate) fn record_http(
        &self,
        (method, route, status): (&Method, &str, StatusCode),
        took: Duration,
        span: impl FnOnce() -> Option<Remote>,
    ) {
        let labels = [known(method), route, status.as_str()];
        self.0.metrics.get(&HTTP, labels).record_example(took, span);
    }
}

impl Series {
    fn new(method: &str) -> Self {
        let by_code = std::array::from_fn(|_| OnceLock::new());
        Self { method: method.to_owned(), by_code }
    }
}

/// Anybody can make up a method of HTTP.
fn known(method: &Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known,
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(metrics: &Metrics) -> Calls {
        Calls::served(metrics, &Arc::new(HashSet::from(["shop.Shop/Get".to_owned()])))
    }

    fn record(calls: &Calls, path: &str, code: Code) {
        calls.record(&calls.method(path), code, Duration::from_millis(3), || None);
    }

    #[test]
    fn a_call_counts_with_its_method_and_its_code() {
        let metrics = Metrics::default();
        let calls = calls(&metrics);
        record(&calls, "shop.Shop/Get", Code::Ok);
        record(&calls, "shop.Shop/Get", Code::Ok);
        record(&calls, "shop.Shop/Get", Code::Unauthenticated);

        let text = metrics.text();
        for (code, count) in [("OK", 2), ("UNAUTHENTICATED", 1)] {
            let labels = format!(
                r#"{{rpc_method="shop.Shop/Get",rpc_response_status_code="{code}"}} {count}"#
            );
            assert!(text.contains(&format!("call_duration_seconds_count{labels}\n")), "{text}");
        }
    }

    #[test]
    fn what_nobody_serves_counts_together_however_many_names_there_are() {
        let metrics = Metrics::default();
        let calls = calls(&metrics);
        for number in 0..100 {
            record(&calls, &format!("made.Up/Method{number}"), Code::ResourceExhausted);
        }

        let text = metrics.text();
        assert!(!text.contains("made"), "{text}");
        let labels = r#"{rpc_method="_OTHER",rpc_response_status_code="RESOURCE_EXHAUSTED"} 100"#;
        assert!(text.contains(labels), "{text}");
        assert!(calls.0.methods.read().unwrap().is_empty());
    }

    #[test]
    fn a_method_of_http_that_is_made_up_is_another_one() {
        assert_eq!(known(&Method::PUT), "PUT");
        assert_eq!(known(&Method::from_bytes(b"BREW").unwrap()), OTHER);
    }
}
