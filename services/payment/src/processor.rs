//! The party that talks to the card networks.
//!
//! Every call carries an idempotency key, derived from the payment and the
//! operation and never from an attempt, so whatever is asked twice happens
//! once. What was not answered is [`Error::Unknown`], and unknown is never
//! failed: the same call with the same key finds it out.

pub mod sandbox;

mod error;
mod guarded;
mod http;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use time::Duration;
use trellis_api::Money;
use trellis_api::id::PaymentId;
use trellis_chassis::Clock;
use trellis_resilience::registry::Registry;
use uuid::Uuid;

use crate::Settings;
use crate::domain::{Code, PaymentToken, Reference};
use crate::settings::ProcessorKind;

pub use error::{Error, Unanswered};
pub use guarded::{Calls, TARGET};
pub use sandbox::Sandbox;

use guarded::Guarded;
use http::HttpProcessor;

/// How long a call with an old key is taken for a repetition. Processors
/// promise 24 h; afterwards the same call would charge a second time.
pub const KEY_LIFETIME: Duration = Duration::hours(23);

/// The promise of all methods: definite answers are the same for ever, and an
/// error that is not [`Error::Unknown`] means that nothing was done.
#[async_trait::async_trait]
pub trait Processor: Send + Sync + 'static {
    /// Blocks an amount. Only to be repeated within [`KEY_LIFETIME`].
    async fn authorize(&self, charge: &Charge) -> Result<Authorization, Error>;

    /// Takes all of a blocked amount.
    async fn capture(
        &self,
        key: Uuid,
        reference: &Reference,
        amount: Money,
    ) -> Result<Capture, Error>;

    /// Lets go of a blocked amount.
    async fn void(&self, key: Uuid, reference: &Reference) -> Result<Release, Error>;

    /// Gives all of a taken amount back.
    async fn refund(
        &self,
        key: Uuid,
        reference: &Reference,
        amount: Money,
    ) -> Result<Refund, Error>;

    /// Finds out what became of an authorization; `None` when there was none.
    ///
    /// With the charge (to be given only within [`KEY_LIFETIME`]) an adapter may
    /// repeat the call, which makes the answer definite. Without it the answer
    /// may miss what happened within the last hour.
    async fn find(
        &self,
        payment: PaymentId,
        charge: Option<&Charge>,
    ) -> Result<Option<Authorization>, Error>;

    /// Says what the processor's own books say of each of these payments that
    /// stands in them; `None` when it has no books that can be asked.
    async fn tally(&self, payments: &[PaymentId]) -> Result<Option<Vec<Tally>>, Error>;
}

/// An amount to block.
#[derive(Clone, Debug)]
pub struct Charge {
    /// For which payment.
    pub payment: PaymentId,
    /// How much.
    pub amount: Money,
    /// On which card.
    pub token: PaymentToken,
}

/// The answer to an authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// The amount is blocked.
    Authorized(Reference),
    /// It is not, and never will be.
    Declined(Code),
}

/// The answer to a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capture {
    /// The amount is taken.
    Captured,
    /// It never will be.
    Refused(Code),
}

/// The answer to a void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Nothing is blocked any more.
    Released,
    /// The amount has been taken.
    Captured,
}

/// The answer to a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refund {
    /// The amount is on its way back.
    Refunded,
    /// It never will be.
    Refused(Code),
}

/// What a processor did for one payment, by its own count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Which payment.
    pub payment: PaymentId,
    /// How often an amount was blocked.
    pub authorizations: u32,
    /// How often it was taken.
    pub captures: u32,
    /// How often it was given back.
    pub refunds: u32,
}

/// The key of one operation of a payment.
pub(crate) fn key(payment: PaymentId, operation: &str) -> Uuid {
    Uuid::new_v5(&payment.uuid(), operation.as_bytes())
}

/// Opens the processor that the settings name, to be called as `calls` say. The sandbox
/// keeps its books in the file `sandbox_path`. Blocks.
pub fn open(
    settings: &Settings,
    sandbox_path: &Path,
    options: &trellis_storage::Options,
    clock: Arc<dyn Clock>,
    calls: Calls,
    registry: &Registry,
) -> anyhow::Result<Arc<dyn Processor>> {
    ensure!(
        (1..=25).contains(&settings.processor_timeout_seconds),
        "processor_timeout_seconds must be 1 to 25"
    );
    match settings.processor {
        ProcessorKind::Sandbox => {
            let sandbox = Sandbox::open(sandbox_path, options, clock);
            guard(sandbox.context("cannot open the sandbox processor")?, calls, registry)
        }
        ProcessorKind::Http => guard(HttpProcessor::new(settings)?, calls, registry),
    }
}

/// Has a processor called as `calls` say.
pub fn guard(
    processor: impl Processor,
    calls: Calls,
    registry: &Registry,
) -> anyhow::Result<Arc<dyn Processor>> {
    let guarded = Guarded::new(processor, calls, registry);
    Ok(Arc::new(guarded.context("the processor cannot be called so")?))
}
