//! What surrounds every handler, on the network's road and on the local one: its
//! trace, what its caller must see, and the server stack of the resilience crate, with a
//! deadline, a limit, and a net under panics.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use tower::Layer as _;
use trellis_consistency::context;
use trellis_resilience::chaos::{ChaosLayer, Chaotic};
use trellis_resilience::core::limit;
use trellis_resilience::grpc::server::{self, ServerLayer};
use trellis_resilience::policy::PolicyTable;
use trellis_resilience::registry::Registry;

use crate::consistency;
use crate::measure::Calls;
use crate::trace::{Heard, Served};

/// What chaos calls the handlers of a process, whatever they are.
const SERVER: &str = "server";

/// The fewest calls that are let in at once, however slow they seem.
///
/// A door serves look-ups of a millisecond and checkouts that wait for a card network,
/// so latency alone says little about how full it is; so many calls are known to fit.
const MIN_LIMIT: usize = 128;

/// What stands before the handlers of a door: how many calls may be in at once, and
/// which of them go first. Cheap to clone; all clones share one limit.
#[derive(Clone, Debug)]
pub struct Front {
    layer: ServerLayer,
    chaos: ChaosLayer,
    calls: Calls,
    /// Whether calls come from outside of the process.
    is_door: bool,
}

/// A router with all that surrounds its handlers. Always ready, never serial.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    inner: server::Server<Chaotic<Router>>,
    calls: Calls,
    is_door: bool,
}

impl Front {
    /// A door that refuses what would be too much at once, the least critical first;
    /// `policies` says how critical each call is, and which are streams.
    pub(crate) fn limited(
        name: &str,
        policies: PolicyTable,
        registry: &Registry,
        calls: Calls,
    ) -> Self {
        let limits = limit::Settings {
            initial: 2 * MIN_LIMIT,
            min: MIN_LIMIT,
            ..limit::Settings::default()
        };
        let builder = ServerLayer::builder(name).limiter(limits).policies(policies);
        Self { is_door: true, ..Self::new(builder.registry(registry), registry, calls) }
    }

    /// A door inside of this process, behind one that is limited. It lets everyone in
    /// at once, so operators would see nothing there.
    pub(crate) fn open(name: &str, registry: &Registry, calls: Calls) -> Self {
        Self::new(ServerLayer::builder(name).unlimited(), registry, calls)
    }

    /// The same for those who are inside already.
    pub(crate) fn inside(&self) -> Self {
        Self { is_door: false, ..self.clone() }
    }

    fn new(builder: server::Builder, registry: &Registry, calls: Calls) -> Self {
        let environment = registry.environment().clone();
        let random = Arc::clone(&environment.random);
        let chaos = ChaosLayer::new(Arc::clone(registry.chaos()), SERVER, random);
        // Nothing around this server answers a late call in other words.
        let builder = builder.environment(environment).broken(broken).head_start(Duration::ZERO);
        let layer = builder.build();
        let layer = layer.expect("1 <= 128 <= 256 <= 1000");
        Self { layer, chaos, calls, is_door: false }
    }
}

impl Server {
    pub(crate) fn new(router: Router, front: &Front) -> Self {
        // With its state given, the router does not rebuild itself for each call.
        let handlers = front.chaos.layer(router.with_state(()));
        let (calls, is_door) = (front.calls.clone(), front.is_door);
        Self { inner: front.layer.layer(handlers), calls, is_door }
    }
}

impl tower::Service<Request<Body>> for Server {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let mut served = Served::begin(&mut request, self.is_door, &self.calls);
        let scope = served.scope().clone();
        let tokens = consistency::heard(request.headers());
        let call = scope.in_scope(|| self.inner.call(request));
        let call = context::scope(tokens.clone(), scope.around(call));
        Box::pin(async move {
            let (response, seen) = call.await;
            let mut response = response.unwrap_or_else(|never| match never {});
            if seen != tokens {
                consistency::tell(response.headers_mut(), &seen);
            }
            served.answer(&mut response);
            Ok(response.map(|body| Body::new(Heard::new(body, served))))
        })
    }
}

/// The answer of a handler that panicked, for those who do not speak gRPC: it says
/// nothing, since it knows nothing.
fn broken() -> Response<Bytes> {
    let body = r#"{"error":{"code":500,"status":"INTERNAL","message":"internal error"}}"#;
    let mut response = Response::new(Bytes::from_static(body.as_bytes()));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use axum::routing::post;
    use tokio::time::Instant;
    use tower::Service as _;
    use trellis_resilience::Environment;
    use trellis_resilience::grpc::server::PATIENCE;
    use trellis_telemetry::Metrics;

    use super::*;

    fn server(router: Router) -> Server {
        let calls = Calls::served(&Metrics::default(), &Arc::default());
        Server::new(router, &Front::open("test", &Registry::new(Environment::tokio()), calls))
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_hangs_without_a_deadline_is_given_up() {
        let router = Router::new().route("/hang", post(std::future::pending::<()>));
        let mut request = Request::post("/hang").body(Body::empty()).unwrap();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        let start = Instant::now();

        let response = server(router).call(request).await.unwrap();

        assert_eq!(response.headers()["grpc-status"], "4");
        assert_eq!(start.elapsed().as_secs(), PATIENCE.as_secs());
    }

    #[tokio::test]
    async fn a_panic_answers_those_who_speak_json_in_json() {
        let spans = Some("debug".parse().unwrap());
        let settings = trellis_telemetry::Settings { spans, ..Default::default() };
        let json = trellis_telemetry::Format::Json;
        let (dispatch, _telemetry) =
            trellis_telemetry::build("test", &settings, json, std::io::sink).unwrap();
        let _traced = tracing::dispatcher::set_default(&dispatch);
        let router = Router::new().route("/", post(async || -> () { panic!("on purpose") }));
        let request = Request::post("/").body(Body::empty()).unwrap();

        let response = server(router).call(request).await.unwrap();

        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        assert!(response.headers().contains_key("trace-id"));
    }
}
