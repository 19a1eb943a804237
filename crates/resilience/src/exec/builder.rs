//! How executors are made.

use std::sync::Arc;
use std::time::Duration;

use super::classify::EveryError;
use super::meters::Meters;
use super::operation::Operation;
use super::retry::Seldom;
use super::{Executor, Parts, Shared};
use crate::chaos::Chaos;
use crate::core::breaker::{self, Breaker};
use crate::core::budget::{self, RetryBudget};
use crate::core::environment::Environment;
use crate::core::limit::{self, Bulkhead, Limiter};
use crate::core::throttle::{self, AdaptiveThrottle};
use crate::registry::Registry;

/// Calls that may be in flight at once, unless another bound is set.
pub const DEFAULT_BULKHEAD: usize = 256;

/// Makes an [`Executor`]. By default it has a breaker, a retry budget and a bulkhead of
/// [`DEFAULT_BULKHEAD`], takes every error for a failure, and waits by tokio's clock.
#[derive(Debug)]
#[must_use]
pub struct Builder<C = EveryError> {
    name: Arc<str>,
    classifier: C,
    environment: Option<Environment>,
    breaker: Option<breaker::Settings>,
    bulkhead: usize,
    limiter: Option<limit::Settings>,
    throttle: Option<throttle::Settings>,
    budget: Option<Arc<RetryBudget>>,
    chaos: Option<Arc<Chaos>>,
    registry: Option<Registry>,
    operations: Vec<Operation>,
}

/// The settings of an executor contradict themselves.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Also if its window is shorter than the longest attempt of the
    /// [operations](Builder::operations).
    #[error("the settings of the breaker are wrong")]
    Breaker(#[source] breaker::SettingsError),
    /// The order of its limits or windows is wrong.
    #[error("the settings of the limiter are wrong")]
    Limiter(#[source] limit::SettingsError),
}

impl Builder {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            classifier: EveryError,
            environment: None,
            breaker: Some(breaker::Settings::default()),
            bulkhead: DEFAULT_BULKHEAD,
            limiter: None,
            throttle: None,
            budget: None,
            chaos: None,
            registry: None,
            operations: Vec::new(),
        }
    }
}

impl<C> Builder<C> {
    /// Says what the ends of closures mean.
    pub fn classifier<D>(self, classifier: D) -> Builder<D> {
        Builder {
            name: self.name,
            classifier,
            environment: self.environment,
            breaker: self.breaker,
            bulkhead: self.bulkhead,
            limiter: self.limiter,
            throttle: self.throttle,
            budget: self.budget,
            chaos: self.chaos,
            registry: self.registry,
            operations: self.operations,
        }
    }

    /// Default: that of the registry, else [`Environment::tokio`]. Its clock should be
    /// tokio's, or what waits and what counts disagree.
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// Default: [`breaker::Settings::default`].
    pub fn breaker(mut self, settings: breaker::Settings) -> Self {
        self.breaker = Some(settings);
        self
    }

    /// Lets every call try, however many fail.
    pub fn without_breaker(mut self) -> Self {
        self.breaker = None;
        self
    }

    /// How many calls may be in flight at once, those that wait for a retry included;
    /// the rest are rejected. For a database, the size of its pool.
    pub fn bulkhead(mut self, calls: usize) -> Self {
        self.bulkhead = calls;
        self
    }

    /// Bounds the attempts in flight by what the peer has lately borne. Default: not.
    pub fn limiter(mut self, settings: limit::Settings) -> Self {
        self.limiter = Some(settings);
        self
    }

    /// Rejects calls that the peer would likely refuse. Default: not.
    pub fn throttle(mut self, settings: throttle::Settings) -> Self {
        self.throttle = Some(settings);
        self
    }

    /// What retries may cost. Default: [`budget::Settings::default`], which is a tenth
    /// of the calls.
    pub fn budget(self, settings: budget::Settings) -> Self {
        self.shared_budget(Arc::new(RetryBudget::new(settings)))
    }

    /// For several executors, or clients, of one peer.
    pub fn shared_budget(mut self, budget: Arc<RetryBudget>) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Default: that of the registry, else none.
    pub fn chaos(mut self, chaos: Arc<Chaos>) -> Self {
        self.chaos = Some(chaos);
        self
    }

    /// Where the executor can be seen and its breaker commanded, while it lives.
    pub fn registry(mut self, registry: &Registry) -> Self {
        self.registry = Some(registry.clone());
        self
    }

    /// Operations that are known beforehand. What is counted about them begins at zero
    /// and not at their first call, and the window of the breaker is checked against
    /// their longest attempt.
    pub fn operations<'o>(mut self, operations: impl IntoIterator<Item = &'o Operation>) -> Self {
        self.operations.extend(operations.into_iter().cloned());
        self
    }
}

impl<C: Send + Sync + 'static> Builder<C> {
    /// Fails if the settings contradict themselves.
    pub fn build(self) -> Result<Executor<C>, BuildError> {
        let registry = self.registry;
        let environment = self.environment.unwrap_or_else(|| match &registry {
            Some(registry) => registry.environment().clone(),
            None => Environment::tokio(),
        });
        let longest: Option<Duration> =
            self.operations.iter().filter_map(Operation::longest_attempt).max();
        let breaker = |settings: breaker::Settings| {
            settings.check(longest)?;
            Breaker::new(Arc::clone(&self.name), settings, environment.clone())
        };
        let has_limiter = self.limiter.is_some();
        let limiter = |settings| Limiter::new(settings, &environment);
        let parts = Parts {
            breaker: self.breaker.map(breaker).transpose().map_err(BuildError::Breaker)?,
            bulkhead: Bulkhead::new(self.bulkhead),
            limiter: self.limiter.map(limiter).transpose().map_err(BuildError::Limiter)?,
            throttle: self.throttle.map(AdaptiveThrottle::new),
            budget: self.budget.unwrap_or_default(),
            chaos: self.chaos.or_else(|| registry.as_ref().map(|it| Arc::clone(it.chaos()))),
            meters: Meters::new(environment.metrics.as_ref(), &self.name, has_limiter),
            suppressions: Seldom::new(),
            name: self.name,
            environment,
        };
        for operation in &self.operations {
            parts.meters_of(operation);
        }
        let shared = Arc::new(Shared { parts, classifier: self.classifier });
        if let Some(registry) = &registry {
            registry.watch("executors", &shared.parts.name, &shared);
        }
        Ok(Executor(shared))
    }
}
