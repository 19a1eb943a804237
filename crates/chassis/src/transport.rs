//! The two roads to a peer, which callers cannot tell apart.
//!
//! Both go through the same client of the resilience crate, with the policies of their
//! edge, and both end in the same server stack. How large a message may be is up to the
//! generated clients and servers, and the same on either.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use http::{HeaderMap, Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;
use trellis_resilience::Environment;
use trellis_resilience::core::{breaker, throttle};
use trellis_resilience::grpc::client::{Builder, Client, Peer};
use trellis_resilience::net::endpoint;
use trellis_resilience::net::fleet::{self, Fleet};
use trellis_resilience::net::resolve::Target;
use trellis_resilience::observe::LogListener;
use trellis_resilience::policy::{MethodPolicy, PolicyTable};
use trellis_resilience::registry::Registry;
use trellis_telemetry::{Metrics, propagation};

use crate::consistency::Consistent;
use crate::deadline::CLIENT_PATIENCE;
use crate::measure::{Calls, Facade, Measured};
use crate::server::{Front, Server};

/// A road to a peer: what every generated client is made over.
pub type Transport = BoxCloneSyncService<Request<Body>, Response<Body>, Status>;

/// How long a peer may take to accept a connection and to greet. A machine that is busy
/// starting everything at once is slow, and not gone; calls have limits of their own.
const CONNECT_TIMEOUT: Duration = CLIENT_PATIENCE;

/// From whom to whom, and what may be done with the calls on the way.
#[derive(Clone, Debug)]
pub struct Edge {
    name: &'static str,
    policies: PolicyTable,
    is_guarded: bool,
}

/// Makes the roads of a process, which operators see in one place. Cheap to clone; all
/// clones are one.
#[derive(Clone, Debug)]
pub struct Roads {
    registry: Registry,
    metrics: Metrics,
    served: Calls,
}

impl Edge {
    /// `name` says who calls whom, such as `order.payment`: it is the name of the edge
    /// in metrics, for operators, and for chaos.
    pub fn new(name: &'static str, policies: PolicyTable) -> Self {
        Self { name, policies, is_guarded: true }
    }

    /// An edge of which nothing is known: every call is made once, with the time that
    /// its caller names, and none is refused.
    pub fn plain(name: &'static str) -> Self {
        let once = MethodPolicy {
            timeout: None,
            idle_timeout: CLIENT_PATIENCE,
            ..MethodPolicy::default().attempts(1).fail_fast()
        };
        Self { is_guarded: false, ..Self::new(name, PolicyTable::new(once)) }
    }
}

impl Roads {
    /// For a caller who shares nothing with others. What happens is logged, and what is
    /// counted is seen by nobody.
    pub fn new() -> Self {
        Self::counting(&Metrics::default(), [])
    }

    /// Logs what happens to them, and counts it in `metrics`; `methods` are those that
    /// are served anywhere, such as `package.Service/Method`.
    pub fn counting(metrics: &Metrics, methods: impl IntoIterator<Item = String>) -> Self {
        let environment = Environment {
            listener: Arc::new(LogListener),
            metrics: Arc::new(Facade(metrics.clone())),
            ..Environment::tokio()
        };
        let registry = Registry::new(environment);
        metrics.before_reading(registry.publisher());
        let known: Arc<HashSet<String>> = Arc::new(methods.into_iter().collect());
        let (metrics, served) = (metrics.clone(), Calls::served(metrics, &known));
        Self { registry, metrics, served }
    }

    /// Everything that operators can look at and command.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What is counted of them.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// A door of this process that is called `name`. `policies` says of the calls that
    /// come in how critical they are, and which are streams.
    pub fn front(&self, name: &str, policies: PolicyTable) -> Front {
        Front::limited(name, policies, &self.registry, self.served.clone())
    }

    /// The road to a peer in this process.
    ///
    /// Messages are encoded all the same, so that nothing works here which a network
    /// would break. The handler runs inside the caller's task and ends when the caller
    /// stops waiting.
    pub fn local(&self, edge: &Edge, routes: Routes) -> Transport {
        let front = Front::open(edge.name, &self.registry, self.served.clone());
        self.behind(&front, edge, routes)
    }

    /// As [`Self::local`], behind a door that others come through as well.
    pub fn behind(&self, front: &Front, edge: &Edge, routes: Routes) -> Transport {
        let peer = Server::new(routes.into_axum_router(), &front.inside())
            .map_request(|request: Request<Body>| request.map(axum::body::Body::new))
            .map_response(|response| response.map(Body::new))
            .map_err(|never: Infallible| match never {});
        // One span for one call: that of the peer is as good as that of the attempt. It is
        // made in the caller's, of which nobody need be told.
        let client = self.client(edge).trace_repetitions_only().over(peer).build();
        self.measured(edge, client.expect("the settings that are not set are sound"))
    }

    /// The road to the instances of a peer at `target`, such as `http://inventory:8080`
    /// or several of these with commas in between.
    ///
    /// They are connected to when they are first used, and again whenever a connection
    /// is lost.
    pub fn remote(&self, edge: &Edge, target: &str) -> anyhow::Result<Transport> {
        let target: Target = target.parse()?;
        let endpoint =
            endpoint::Settings { connect_timeout: CONNECT_TIMEOUT, ..Default::default() };
        let settings = fleet::Settings { endpoint, ..Default::default() };
        let fleet = Fleet::builder(edge.name)
            .peers(target)
            .settings(settings)
            .environment(self.registry.environment().clone())
            .build()
            .context("the fleet cannot be made so")?;
        Ok(self.measured(edge, self.client(edge).inject(tell).fleet(fleet).build()?))
    }

    fn measured(&self, edge: &Edge, client: Client<impl Peer>) -> Transport {
        let client = Consistent(client);
        Transport::new(Measured::new(client, Calls::made(&self.metrics, edge.name)))
    }

    fn client(&self, edge: &Edge) -> Builder<()> {
        let client =
            Client::builder(edge.name).policies(edge.policies.clone()).registry(&self.registry);
        if edge.is_guarded {
            return client;
        }
        let never = breaker::Settings {
            consecutive_failures: None,
            failure_rate: None,
            slow_rate: None,
            ..breaker::Settings::default()
        };
        let nothing = throttle::Settings { cap: 0.0, ..throttle::Settings::default() };
        client.breaker(never).throttle(nothing).bulkhead(usize::MAX)
    }
}

/// Tells the peer of the attempt. A caller that names a trace itself means that one.
fn tell(headers: &mut HeaderMap) {
    if propagation::extract(headers).is_none() {
        propagation::inject(headers);
    }
}

impl Default for Roads {
    fn default() -> Self {
        Self::new()
    }
}

/// The road to a peer in this process, for a caller who shares nothing with others.
pub fn local(routes: Routes) -> Transport {
    Roads::new().local(&Edge::plain("local"), routes)
}

/// The road to a peer at `target`, for a caller who shares nothing with others.
pub fn remote(target: &str) -> anyhow::Result<Transport> {
    Roads::new().remote(&Edge::plain("remote"), target)
}
