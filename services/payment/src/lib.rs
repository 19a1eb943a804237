//! Payments: authorize, capture, void, refund, and the ledger of it.
//!
//! The promise: a payment is charged at most once, whatever is repeated, lost or
//! interrupted, and all money that moved stands in the ledger. An outcome that
//! is not known is never taken for a failure. Card numbers never come here:
//! what names a card is a token, and even that is forgotten once it is used.
//!
//! Orders are not known here: whoever asks for a payment chooses its id.

pub mod processor;
pub mod reconcile;
pub mod store;

mod api;
mod audit;
mod cashier;
mod domain;
mod error;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use tonic::service::Routes;
use trellis_api::limits::Bounded as _;
use trellis_api::payment::v1::payment_service_server::PaymentServiceServer;
use trellis_chassis::{Clock, Shutdown};

pub use cashier::Cashier;
pub use domain::{
    Account, Change, Code, Entry, EntryKind, Intent, ParseEntryKindError, ParseReferenceError,
    ParseTokenError, Payment, PaymentToken, Posting, Reference, Refusal, State, Trace,
};
pub use error::Error;
pub use processor::Processor;
pub use settings::{ProcessorKind, Settings};
pub use store::Store;

/// What the service needs from the world; [`start`] invents none of it.
pub struct Needs {
    /// Where payments and the ledger are.
    pub store: Arc<dyn Store>,
    /// Who moves the money, as [`processor::open`] makes it.
    pub processor: Arc<dyn Processor>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// Starts the reconciler and returns what the service answers.
#[expect(clippy::unused_async, reason = "every service starts alike")]
pub async fn start(
    settings: &Settings,
    needs: Needs,
    shutdown: &Shutdown,
) -> anyhow::Result<Routes> {
    let Needs { store, processor, clock } = needs;
    anyhow::ensure!(
        0 < settings.reconcile_interval_seconds,
        "reconcile_interval_seconds must be at least 1"
    );
    let cashier = Cashier::new(store, processor, clock);
    let interval = Duration::from_secs(settings.reconcile_interval_seconds);
    shutdown
        .spawn("payment.reconcile", reconcile::run(cashier.clone(), interval, shutdown.clone()));
    Ok(Routes::new(PaymentServiceServer::new(api::Payments::new(cashier)).bounded()))
}
