//! What a server can be told.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};

use super::ServerLayer;
use super::gate::Gate;
use super::measures::Measures;
use super::shared::{Broken, Level, OfPath, Rate, Shared};
use crate::core::clock::Time;
use crate::core::environment::Environment;
use crate::core::limit::{self, Limiter, SettingsError};
use crate::core::queue;
use crate::grpc::status;
use crate::policy::{Criticality, Kind, PolicyTable};
use crate::registry::Registry;

/// How long a handler may take to the head of its answer if its caller set no deadline.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How much earlier than its caller a server gives a call up, so that it is the server
/// who says so; see [`Builder::head_start`].
pub const HEAD_START: Duration = Duration::from_millis(2);

/// Makes a [`ServerLayer`].
#[must_use = "a builder does nothing until it builds"]
pub struct Builder {
    name: Arc<str>,
    environment: Option<Environment>,
    registry: Option<Registry>,
    limiter: Option<limit::Settings>,
    queue: queue::Settings,
    criticality: OfPath<Criticality>,
    streaming: OfPath<bool>,
    level: Option<Level>,
    rate: Option<Rate>,
    broken: Broken,
    patience: Duration,
    head_start: Duration,
}

impl Builder {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            environment: None,
            registry: None,
            limiter: Some(limit::Settings::default()),
            queue: queue::Settings::default(),
            criticality: Arc::new(|_| Criticality::default()),
            streaming: Arc::new(|_| false),
            level: None,
            rate: None,
            broken: Arc::new(nothing),
            patience: PATIENCE,
            head_start: HEAD_START,
        }
    }

    /// Default: that of the registry, else [`Environment::tokio`]. Its clock has to be
    /// tokio's, since deadlines are.
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// Shows the server there, among the `servers`, for as long as a layer or a service
    /// of it lives.
    pub fn registry(mut self, registry: &Registry) -> Self {
        self.registry = Some(registry.clone());
        self
    }

    /// The bounds of the limit.
    pub fn limiter(mut self, settings: limit::Settings) -> Self {
        self.limiter = Some(settings);
        self
    }

    /// Lets everyone in at once.
    pub fn unlimited(mut self) -> Self {
        self.limiter = None;
        self
    }

    /// How calls wait when the limit is reached.
    pub fn queue(mut self, settings: queue::Settings) -> Self {
        self.queue = settings;
        self
    }

    /// Takes the criticality of calls that do not say theirs, and which calls are
    /// streams, from a table.
    pub fn policies(self, table: impl Into<Arc<PolicyTable>>) -> Self {
        let table = table.into();
        let of_kind = Arc::clone(&table);
        self.criticality(move |path| table.get(path).criticality).streaming(move |path| {
            matches!(of_kind.get(path).kind, Kind::ServerStream | Kind::Bidirectional)
        })
    }

    /// The criticality of calls that do not say theirs, by their path. Default: all are
    /// [`Criticality::Critical`].
    pub fn criticality(
        mut self,
        of_path: impl Fn(&str) -> Criticality + Send + Sync + 'static,
    ) -> Self {
        self.criticality = Arc::new(of_path);
        self
    }

    /// Which paths are streams from the server. They count as in flight only until the
    /// head of their answer, since a stream that lasts for hours would keep its slot for
    /// ever. All other calls count until their answer is complete. Default: none.
    pub fn streaming(mut self, of_path: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.streaming = Arc::new(of_path);
        self
    }

    /// The level of a call inside its class: those with a high one are shed first. By
    /// default all are equal, and every caller loses some of its calls. If it is made
    /// from the id of a user, some users lose all of theirs, and the others none. Each
    /// level more makes some calls wait longer, so a few are better than many.
    pub fn level(mut self, of_call: impl Fn(&Parts) -> u8 + Send + Sync + 'static) -> Self {
        self.level = Some(Arc::new(of_call));
        self
    }

    /// Whether a caller is within its rate, and if not, when to come again: usually a
    /// keyed rate limiter with a key from the request. Default: all are.
    pub fn rate(
        mut self,
        check: impl Fn(&Parts, Time) -> Result<(), Duration> + Send + Sync + 'static,
    ) -> Self {
        self.rate = Some(Arc::new(check));
        self
    }

    /// The answer to a request that is not gRPC when its handler panics. The default is
    /// the status 500 and nothing else.
    pub fn broken(mut self, answer: impl Fn() -> Response<Bytes> + Send + Sync + 'static) -> Self {
        self.broken = Arc::new(answer);
        self
    }

    /// How long a call without a deadline may take to the head of its answer, counted
    /// anew from each piece of the request's body. Default [`PATIENCE`].
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How much earlier than at its deadline a call is given up, but at most an eighth
    /// of its time. Default [`HEAD_START`]. Tonic's own server answers CANCELLED at the
    /// deadline, so inside of that it must not be zero.
    pub fn head_start(mut self, head_start: Duration) -> Self {
        self.head_start = head_start;
        self
    }

    /// Fails if the bounds of the limit contradict themselves.
    pub fn build(self) -> Result<ServerLayer, SettingsError> {
        let registry = self.registry;
        let environment = self.environment.unwrap_or_else(|| match &registry {
            Some(registry) => registry.environment().clone(),
            None => Environment::tokio(),
        });
        let (metrics, is_limited) = (environment.metrics.as_ref(), self.limiter.is_some());
        let measures = Arc::new(Measures::new(metrics, &self.name, is_limited));
        let gate = |settings| {
            let limiter = Limiter::new(settings, &environment)?;
            let measures = Arc::clone(&measures);
            Ok(Arc::new(Gate::new(limiter, self.queue, measures, &environment)))
        };
        let shared = Arc::new(Shared {
            gate: self.limiter.map(gate).transpose()?,
            name: self.name,
            criticality: self.criticality,
            streaming: self.streaming,
            level: self.level,
            rate: self.rate,
            broken: self.broken,
            patience: self.patience,
            head_start: self.head_start,
            measures,
            clock: environment.clock,
            shed: status::shed().into_http(),
            expired: status::deadline_exceeded().into_http(),
        });
        if let Some(registry) = &registry {
            registry.watch("servers", &shared.name, &shared);
        }
        Ok(ServerLayer(shared))
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("limiter", &self.limiter)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

fn nothing() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}
