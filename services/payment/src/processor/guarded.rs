//! What stands between us and a processor, whichever it is.
//!
//! Each operation has an [`Executor`] of its own, with a breaker and a bulkhead: a
//! processor that authorizes nothing more may still capture and void, and has to. Each
//! call is made once. Whoever asked asks again, the saga or the reconciler, with the
//! same key and after a pause; to repeat it here as well would only multiply calls, also
//! of those that were provably never sent.
//!
//! There is no throttle: it would go on refusing for half a minute after the processor
//! is back, and the few calls of a shop need no finer valve than a breaker.
//!
//! The sandbox is behind it too. It stands for another company, and whoever rehearses an
//! outage with it wants to see what would happen with a real one.

mod hold_off;

use std::sync::Arc;
use std::time::Duration;

use trellis_api::Money;
use trellis_api::id::PaymentId;
use trellis_resilience::clock::Clock;
use trellis_resilience::core::breaker;
use trellis_resilience::exec::{BuildError, ByError, ExecError, Executor, Operation, by_error};
use trellis_resilience::outcome::{FailureKind, Verdict};
use trellis_resilience::registry::Registry;
use uuid::Uuid;

use self::hold_off::HoldOff;
use super::{Authorization, Capture, Charge, Error, Processor, Refund, Release, Tally};
use crate::domain::Reference;

/// Before the name of an operation, this is the name of its breaker, for metrics, for
/// operators and for chaos: `payment.processor.capture`.
pub const TARGET: &str = "payment.processor";

/// What may be done with each kind of call to a processor.
#[derive(Clone, Debug)]
pub struct Calls {
    /// Blocks an amount.
    pub authorize: Operation,
    /// Takes it.
    pub capture: Operation,
    /// Lets go of it.
    pub void: Operation,
    /// Gives it back.
    pub refund: Operation,
    /// Finds out what became of an authorization, which may repeat it.
    pub find: Operation,
    /// Reads the processor's books.
    pub tally: Operation,
}

/// A processor that is called as [`Calls`] say, and not while it is down.
#[derive(Debug)]
pub(crate) struct Guarded<P> {
    processor: P,
    authorize: Gate,
    capture: Gate,
    void: Gate,
    refund: Gate,
    find: Gate,
    tally: Gate,
}

/// Says what an error means for the health of the processor.
type Classify = fn(&Error) -> Verdict;

/// The way to one operation.
#[derive(Debug)]
struct Gate {
    operation: Operation,
    executor: Executor<ByError<Classify>>,
    hold_off: HoldOff,
    clock: Arc<dyn Clock>,
}

impl<P> Guarded<P> {
    /// Shows its executors in the registry. Fails if a call may take longer than a
    /// breaker looks back at.
    pub(crate) fn new(processor: P, calls: Calls, registry: &Registry) -> Result<Self, BuildError> {
        let gate = |operation| Gate::new(operation, registry);
        Ok(Self {
            processor,
            authorize: gate(calls.authorize)?,
            capture: gate(calls.capture)?,
            void: gate(calls.void)?,
            refund: gate(calls.refund)?,
            find: gate(calls.find)?,
            tally: gate(calls.tally)?,
        })
    }
}

impl Gate {
    fn new(operation: Operation, registry: &Registry) -> Result<Self, BuildError> {
        let settings = breaker(operation.timeout);
        let executor = Executor::builder(format!("{TARGET}.{}", operation.name))
            .classifier(by_error(Error::verdict as Classify))
            .operations([&operation])
            .breaker(settings.clone())
            .registry(registry)
            .build()?;
        let hold_off = HoldOff::new(settings.pushback_cap);
        let clock = Arc::clone(&registry.environment().clock);
        Ok(Self { operation, executor, hold_off, clock })
    }

    /// Makes a call, unless the processor is down or has asked not to be called.
    async fn pass<T, A>(&self, mut call: impl FnMut() -> A) -> Result<T, Error>
    where
        A: Future<Output = Result<T, Error>>,
    {
        if let Some(wait) = self.hold_off.left(self.clock.now()) {
            let why = format_args!("it asked not to be called for another {wait:?}");
            return Err(Error::held_back(why));
        }
        let answer = self.executor.run(&self.operation, |_| call()).await;
        answer.map_err(|error| self.explain(error))
    }

    fn explain(&self, error: ExecError<Error>) -> Error {
        if let ExecError::Rejected(rejection) = error {
            return Error::held_back(rejection);
        }
        let error = error
            .into_last()
            .unwrap_or_else(|| Error::failed(FailureKind::Timeout, "there was no answer in time"));
        if let Some(wait) = error.retry_after() {
            let operation = self.operation.name;
            tracing::warn!(operation, ?wait, "the processor asks not to be called");
            self.hold_off.begin(self.clock.now(), wait);
        }
        error
    }
}

/// The usual breaker, for calls that take up to `timeout`.
fn breaker(timeout: Option<Duration>) -> breaker::Settings {
    let usual = breaker::Settings::default();
    let Some(timeout) = timeout else { return usual };
    breaker::Settings {
        // Whoever calls us may wait as long as we do, and give up a moment before: a
        // processor that is silent must be found out all the same.
        cancel_counts_after: Some(timeout * 4 / 5),
        window: usual.window.max(timeout),
        half_open_max: usual.half_open_max.max(timeout),
        ..usual
    }
}

#[async_trait::async_trait]
impl<P: Processor> Processor for Guarded<P> {
    async fn authorize(&self, charge: &Charge) -> Result<Authorization, Error> {
        self.authorize.pass(|| self.processor.authorize(charge)).await
    }

    async fn capture(
        &self,
        key: Uuid,
        reference: &Reference,
        amount: Money,
    ) -> Result<Capture, Error> {
        self.capture.pass(|| self.processor.capture(key, reference, amount)).await
    }

    async fn void(&self, key: Uuid, reference: &Reference) -> Result<Release, Error> {
        self.void.pass(|| self.processor.void(key, reference)).await
    }

    async fn refund(
        &self,
        key: Uuid,
        reference: &Reference,
        amount: Money,
    ) -> Result<Refund, Error> {
        self.refund.pass(|| self.processor.refund(key, reference, amount)).await
    }

    async fn find(
        &self,
        payment: PaymentId,
        charge: Option<&Charge>,
    ) -> Result<Option<Authorization>, Error> {
        self.find.pass(|| self.processor.find(payment, charge)).await
    }

    async fn tally(&self, payments: &[PaymentId]) -> Result<Option<Vec<Tally>>, Error> {
        self.tally.pass(|| self.processor.tally(payments)).await
    }
}
