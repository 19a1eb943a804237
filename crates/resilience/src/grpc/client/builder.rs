//! How a client is made.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use http::HeaderMap;

use super::Client;
use super::meter::TargetMeter;
use super::method::Methods;
use super::peer::{Over, Peer};
use super::shared::{Inject, Shared};
use crate::chaos::Chaos;
use crate::core::breaker::{self, Breaker};
use crate::core::budget::{self, RetryBudget};
use crate::core::environment::Environment;
use crate::core::hedge::HedgeBudget;
use crate::core::limit::Bulkhead;
use crate::core::throttle::{self, AdaptiveThrottle};
use crate::grpc::replay;
use crate::net::fleet::Fleet;
use crate::policy::{Kind, PolicyTable};
use crate::registry::Registry;

/// The calls to one target that are in flight at once, if nothing else is said.
const BULKHEAD: usize = 256;

/// Makes a [`Client`].
#[must_use]
pub struct Builder<P> {
    target: Arc<str>,
    peer: P,
    policies: PolicyTable,
    environment: Option<Environment>,
    breaker: Option<breaker::Settings>,
    budget: budget::Settings,
    throttle: throttle::Settings,
    bulkhead: usize,
    replay_limit: usize,
    chaos: Option<Arc<Chaos>>,
    inject: Option<Inject>,
    traces_first: bool,
    registry: Option<Registry>,
}

/// The client cannot be made so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Also if it looks back for a shorter time than the longest attempt of a unary
    /// call takes.
    #[error("the circuit breaker cannot be made so")]
    Breaker(#[from] breaker::SettingsError),
}

impl Client<()> {
    /// `target` is the name of the peer, for metrics, events, chaos and operators.
    pub fn builder(target: &str) -> Builder<()> {
        Builder {
            target: Arc::from(target),
            peer: (),
            policies: PolicyTable::default(),
            environment: None,
            breaker: None,
            budget: budget::Settings::default(),
            throttle: throttle::Settings::default(),
            bulkhead: BULKHEAD,
            replay_limit: replay::DEFAULT_LIMIT,
            chaos: None,
            inject: None,
            traces_first: true,
            registry: None,
        }
    }
}

impl Builder<()> {
    /// Every attempt goes to a clone of `service`, which may be in this process.
    pub fn over<S>(self, service: S) -> Builder<Over<S>> {
        self.to(Over::new(service))
    }

    /// Every attempt goes to one of `fleet`, if possible to another one than before.
    pub fn fleet(self, fleet: Fleet) -> Builder<Fleet> {
        self.to(fleet)
    }

    pub(super) fn to<P>(self, peer: P) -> Builder<P> {
        Builder {
            peer,
            target: self.target,
            policies: self.policies,
            environment: self.environment,
            breaker: self.breaker,
            budget: self.budget,
            throttle: self.throttle,
            bulkhead: self.bulkhead,
            replay_limit: self.replay_limit,
            chaos: self.chaos,
            inject: self.inject,
            traces_first: self.traces_first,
            registry: self.registry,
        }
    }
}

impl<P> Builder<P> {
    /// What may be done with the calls. By default each is a unary call of which nothing
    /// is known.
    pub fn policies(mut self, policies: PolicyTable) -> Self {
        self.policies = policies;
        self
    }

    /// Default: that of the registry, else [`Environment::tokio`].
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// Of the target as a whole; endpoints have their own. By default, it looks back at
    /// least as far as the longest attempt of a unary call takes.
    pub fn breaker(mut self, settings: breaker::Settings) -> Self {
        self.breaker = Some(settings);
        self
    }

    /// Of retries and hedges together.
    pub fn budget(mut self, settings: budget::Settings) -> Self {
        self.budget = settings;
        self
    }

    /// When calls are held back that the peer would refuse. Default:
    /// [`throttle::Settings::default`].
    pub fn throttle(mut self, settings: throttle::Settings) -> Self {
        self.throttle = settings;
        self
    }

    /// How many calls may be in flight at once, up to the end of their responses.
    /// Default 256.
    pub fn bulkhead(mut self, limit: usize) -> Self {
        self.bulkhead = limit;
        self
    }

    /// How much of a request is kept so that it can be sent again, in bytes. A longer
    /// one is sent once. Default [`replay::DEFAULT_LIMIT`].
    pub fn replay_limit(mut self, bytes: usize) -> Self {
        self.replay_limit = bytes;
        self
    }

    /// Default: that of the registry, else none.
    pub fn chaos(mut self, chaos: Arc<Chaos>) -> Self {
        self.chaos = Some(chaos);
        self
    }

    /// Is called with the headers of every attempt, to put a trace's context into them
    /// for instance.
    pub fn inject(mut self, inject: impl Fn(&mut HeaderMap) + Send + Sync + 'static) -> Self {
        self.inject = Some(Arc::new(inject));
        self
    }

    /// Makes spans of retries and hedges only, and not of first attempts: for a peer
    /// in the same process, which says itself how long it takes.
    pub fn trace_repetitions_only(mut self) -> Self {
        self.traces_first = false;
        self
    }

    /// Shows the client there, among the `clients`.
    pub fn registry(mut self, registry: &Registry) -> Self {
        self.registry = Some(registry.clone());
        self
    }

    /// The longest attempt of a unary call that the policies allow.
    fn longest_attempt(&self) -> Option<Duration> {
        let policies = self.policies.methods().map(|(_, policy)| policy);
        policies
            .chain([self.policies.default_policy()])
            .filter(|policy| policy.kind == Kind::Unary)
            .filter_map(|policy| policy.attempt_timeout.or(policy.timeout))
            .max()
    }

    fn breaker_settings(&self) -> Result<breaker::Settings, breaker::SettingsError> {
        let longest = self.longest_attempt();
        if let Some(settings) = &self.breaker {
            settings.check(longest)?;
            return Ok(settings.clone());
        }
        let mut settings = breaker::Settings::default();
        if let Some(longest) = longest {
            settings.window = settings.window.max(longest);
            settings.half_open_max = settings.half_open_max.max(longest);
        }
        Ok(settings)
    }
}

impl<P: Peer> Builder<P> {
    /// Fails if the settings contradict themselves.
    pub fn build(self) -> Result<Client<P>, BuildError> {
        let registry = self.registry.as_ref();
        let environment = self
            .environment
            .clone()
            .or_else(|| registry.map(|registry| registry.environment().clone()))
            .unwrap_or_else(Environment::tokio);
        let chaos =
            self.chaos.clone().or_else(|| registry.map(|registry| Arc::clone(registry.chaos())));
        let breaker = self.breaker_settings()?;
        let breaker = Breaker::new(Arc::clone(&self.target), breaker, environment.clone())?;
        let metrics = &environment.metrics;
        let shared = Arc::new(Shared {
            meter: TargetMeter::new(metrics.as_ref(), &self.target),
            methods: Methods::new(&self.policies, metrics, &self.target),
            breaker,
            budget: RetryBudget::new(self.budget),
            hedges: HedgeBudget::default(),
            throttle: AdaptiveThrottle::new(self.throttle),
            bulkhead: Bulkhead::new(self.bulkhead),
            chaos,
            inject: self.inject,
            traces_first: self.traces_first,
            replay_limit: self.replay_limit,
            is_holding_back: AtomicBool::new(false),
            target: self.target,
            peer: self.peer,
            environment,
        });
        if let Some(registry) = &self.registry {
            registry.watch("clients", &shared.target, &shared);
        }
        Ok(Client { shared })
    }
}

impl<P: fmt::Debug> fmt::Debug for Builder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("target", &self.target)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}
