//! Calls that are not gRPC: closures over databases, caches, payment processors.
//!
//! An [`Executor`] stands for one peer and runs closures against it. What it puts
//! around them, from the outside in: the deadline, the throttle, the bulkhead; then,
//! for each attempt, the limiter, the breaker, chaos, and the limit of the attempt.
//!
//! ```
//! use trellis_resilience::exec::{ExecError, Executor, Operation};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let processor = Executor::builder("payment.processor").build()?;
//! let charge = Operation::with_key("charge");
//!
//! let charged = processor
//!     .run(&charge, |attempt| async move {
//!         tracing::debug!(number = attempt.number(), "charging");
//!         Ok::<_, std::io::Error>("receipt")
//!     })
//!     .await;
//!
//! match charged {
//!     Ok(receipt) => assert_eq!(receipt, "receipt"),
//!     // It may have been charged: ask the processor, and do not charge elsewhere.
//!     Err(ExecError::Unknown { .. }) => {}
//!     Err(error) => return Err(error.into()),
//! }
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
//! #     .block_on(example()).unwrap();
//! ```

mod attempt;
mod builder;
mod call;
mod classify;
mod error;
mod meters;
mod operation;
mod retry;

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tracing::Instrument as _;

use crate::chaos::Chaos;
use crate::core::breaker::Breaker;
use crate::core::budget::RetryBudget;
use crate::core::clock::Time;
use crate::core::environment::Environment;
use crate::core::latency::Quantile;
use crate::core::limit::{Bulkhead, Limiter};
use crate::core::throttle::AdaptiveThrottle;
use crate::registry::Inspect;

use call::Call;
use meters::{Meters, OperationMeters};
use retry::Seldom;

pub use builder::{BuildError, Builder, DEFAULT_BULKHEAD};
pub use classify::{ByError, Classifier, EveryError, by_error};
pub use error::{ExecError, Rejection};
pub use operation::{Attempt, Operation};

/// Runs closures against one peer. Cheap to clone; all clones are one.
///
/// `C` says what the ends of closures mean.
pub struct Executor<C = EveryError>(Arc<Shared<C>>);

struct Shared<C> {
    parts: Parts,
    classifier: C,
}

/// What does not depend on the types of the closures.
#[derive(Debug)]
struct Parts {
    name: Arc<str>,
    environment: Environment,
    breaker: Option<Breaker>,
    bulkhead: Bulkhead,
    limiter: Option<Limiter>,
    throttle: Option<AdaptiveThrottle>,
    budget: Arc<RetryBudget>,
    chaos: Option<Arc<Chaos>>,
    meters: Meters,
    suppressions: Seldom,
}

impl Executor {
    /// `name` is the target in metrics, events, the registry and rules of chaos.
    pub fn builder(name: impl Into<Arc<str>>) -> Builder {
        Builder::new(name.into())
    }
}

impl<C> Executor<C> {
    pub fn name(&self) -> &str {
        &self.0.parts.name
    }

    pub fn breaker(&self) -> Option<&Breaker> {
        self.0.parts.breaker.as_ref()
    }

    /// Runs `make` until an attempt succeeds, or trying again is not allowed or not
    /// worth it.
    ///
    /// Each attempt is a new future of `make`; one that takes too long is dropped. If
    /// this future is dropped, the attempt is too, and nothing stays counted as in
    /// flight. A panic of the closure counts as a failure of the peer and goes on.
    ///
    /// The second attempt follows a wait that is random, or what the peer asked for.
    /// It is not made if its end could not be awaited, if the retry budget is used up,
    /// if the breaker or the throttle holds calls back, or if a hop above is retrying
    /// already; then the error of the first one is returned. Each such retry is counted,
    /// and one in a second is told as an event.
    pub async fn run<T, E, F, A>(&self, operation: &Operation, make: F) -> Result<T, ExecError<E>>
    where
        C: Classifier<T, E>,
        F: FnMut(Attempt) -> A,
        A: Future<Output = Result<T, E>>,
    {
        let target = &*self.0.parts.name;
        let operation_name = operation.name;
        let span = tracing::debug_span!(
            "resilience.call",
            otel.kind = "client",
            otel.name = target,
            target,
            operation = operation_name,
        );
        self.0.run(operation, make).instrument(span).await
    }
}

impl<C> Shared<C> {
    async fn run<T, E, F, A>(&self, operation: &Operation, mut make: F) -> Result<T, ExecError<E>>
    where
        C: Classifier<T, E>,
        F: FnMut(Attempt) -> A,
        A: Future<Output = Result<T, E>>,
    {
        let mut call = Call::begin(&self.parts, operation)?;
        let mut paid = None;
        loop {
            match call.attempt(&mut make, &self.classifier, paid.take()).await {
                Ok(outcome) => call.note(outcome),
                Err(rejection) => return call.refuse(rejection),
            }
            let Some(retry) = call.retry() else { return call.finish() };
            call.wait(retry.delay).await;
            paid = Some(retry.paid);
        }
    }
}

impl Parts {
    fn meters_of(&self, operation: &Operation) -> &OperationMeters {
        self.meters.of(operation.name, self.environment.metrics.as_ref(), &self.name)
    }

    fn now(&self) -> Time {
        self.environment.clock.now()
    }
}

impl<C: Send + Sync> Inspect for Shared<C> {
    fn snapshot(&self, now: Time) -> Value {
        let parts = &self.parts;
        let millis = |duration: std::time::Duration| duration.as_secs_f64() * 1e3;
        let operations = parts.meters.seen().map(|meters| {
            let at = |quantile| meters.latency.quantile(quantile, now).map(millis);
            let latency = json!({
                "p50_ms": at(Quantile::P50),
                "p90_ms": at(Quantile::P90),
                "p95_ms": at(Quantile::P95),
            });
            (meters.name().to_owned(), latency)
        });
        json!({
            "breaker": parts.breaker.as_ref().map(|breaker| breaker.snapshot(now)),
            "in_flight": parts.bulkhead.inflight(),
            "bulkhead": parts.bulkhead.limit(),
            "limiter": parts.limiter.as_ref().map(Limiter::snapshot),
            "retry_tokens": parts.budget.tokens(now),
            "throttle_probability": parts.throttle.as_ref().map(|t| t.probability(now)),
            "operations": operations.collect::<Map<_, _>>(),
        })
    }

    fn publish(&self, now: Time) {
        let parts = &self.parts;
        let meters = &parts.meters.target;
        meters.tokens.set(parts.budget.tokens(now));
        meters.throttle.set(parts.throttle.as_ref().map_or(0.0, |it| it.probability(now)));
        meters.in_flight.set_count(parts.bulkhead.inflight());
        if let Some(limiter) = &parts.limiter {
            meters.limit.set_count(limiter.limit());
        }
    }

    fn breakers(&self) -> Vec<Breaker> {
        self.parts.breaker.iter().cloned().collect()
    }
}

impl<C> Clone for Executor<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C> fmt::Debug for Executor<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor").field("parts", &self.0.parts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
