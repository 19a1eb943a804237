//! Knows what there is, and promises each unit once.
//!
//! The catalogue with its full-text search, the stock, and the reservations of
//! checkouts. One stock row a product is the truth about its units; every
//! movement of them has an entry in an append-only ledger, in the same
//! transaction. What is sold to whom, and for what money, is not known here.

mod api;
mod batcher;
mod display;
pub mod domain;
pub mod error;
pub mod expiry;
mod retention;
mod settings;
pub mod store;

use std::sync::Arc;

use tonic::service::Routes;
use trellis_api::inventory::v1::inventory_service_server::InventoryServiceServer;
use trellis_api::limits::Bounded as _;
use trellis_cache::Caches;
use trellis_chassis::{Clock, Shutdown};

pub use crate::settings::Settings;

use crate::api::Inventory;
use crate::batcher::Batcher;
use crate::display::Display;
use crate::store::Store;

/// What the service needs from the world; [`start`] invents none of it.
pub struct Needs {
    /// Where the inventory is kept.
    pub store: Arc<dyn Store>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where what is only shown is kept at hand.
    pub caches: Caches,
}

/// Starts the background work and returns what the service answers.
#[expect(clippy::unused_async, reason = "all services start alike, and some have to wait")]
pub async fn start(
    settings: &Settings,
    needs: Needs,
    shutdown: &Shutdown,
) -> anyhow::Result<Routes> {
    settings.check()?;
    let Needs { store, clock, caches } = needs;

    let interval = settings.expiry_interval();
    shutdown.spawn(
        "inventory.expiry",
        expiry::run(Arc::clone(&store), Arc::clone(&clock), interval, shutdown.clone()),
    );
    shutdown.spawn(
        "inventory.retention",
        retention::run(Arc::clone(&store), Arc::clone(&clock), shutdown.clone()),
    );
    let batcher = Batcher::start(Arc::clone(&store), Arc::clone(&clock), shutdown);

    let display = Display::new(Arc::clone(&store), Arc::clone(&clock), &caches);
    let ttl = settings.reservation_ttl();
    let inventory = Inventory { store, batcher, display, clock, ttl };
    Ok(Routes::new(InventoryServiceServer::new(inventory).bounded()))
}
