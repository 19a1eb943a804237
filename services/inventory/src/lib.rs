//! Knows what there is, and promises each unit once.
//!
//! The catalogue with its full-text search, the stock, and the reservations of
//! checkouts. One stock row a product is the truth about its units; every
//! movement of them has an entry in an append-only ledger, in the same
//! transaction. What is sold to whom, and for what money, is not known here.

pub mod domain;

mod api;

pub mod error;

pub mod store;

mod batcher;
pub mod expiry;
mod retention;

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use serde::Deserialize;
use tonic::service::Routes;
use trellis_api::inventory::v1::inventory_service_server::InventoryServiceServer;
use trellis_chassis::{Clock, Shutdown};

use crate::api::Inventory;
use crate::batcher::Batcher;
use crate::store::Store;

/// What can be set.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long units are held when the caller does not say, in seconds: 1 to
    /// 3600. Default: 900.
    pub reservation_ttl_seconds: u32,
    /// How often lapsed reservations are looked for, in milliseconds: 10 to
    /// 30000. Default: 1000.
    pub expiry_interval_milliseconds: u64,
}

/// What the service needs from the world; [`start`] invents none of it.
pub struct Needs {
    /// Where the inventory is kept.
    pub store: Arc<dyn Store>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// Starts the background work and returns what the service answers.
#[expect(clippy::unused_async, reason = "all services start alike, and some have to wait")]
pub async fn start(
    settings: &Settings,
    needs: Needs,
    shutdown: &Shutdown,
) -> anyhow::Result<Routes> {
    let Needs { store, clock } = needs;
    ensure!(
        (1..=3_600).contains(&settings.reservation_ttl_seconds),
        "reservation_ttl_seconds must be 1 to 3600"
    );
    ensure!(
        (10..=30_000).contains(&settings.expiry_interval_milliseconds),
        "expiry_interval_milliseconds must be 10 to 30000"
    );
    let ttl = time::Duration::seconds(settings.reservation_ttl_seconds.into());
    let sweep = Duration::from_millis(settings.expiry_interval_milliseconds);

    shutdown.spawn(
        "inventory.expiry",
        expiry::run(Arc::clone(&store), Arc::clone(&clock), sweep, shutdown.clone()),
    );
    shutdown.spawn(
        "inventory.retention",
        retention::run(Arc::clone(&store), Arc::clone(&clock), shutdown.clone()),
    );
    let batcher = Batcher::start(Arc::clone(&store), Arc::clone(&clock), shutdown);
    let inventory = Inventory { store, batcher, clock, ttl };
    Ok(Routes::new(InventoryServiceServer::new(inventory)))
}

impl Default for Settings {
    fn default() -> Self {
        Self { reservation_ttl_seconds: 900, expiry_interval_milliseconds: 1_000 }
    }
}
