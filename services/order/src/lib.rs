//! Carts, orders and the checkout saga.
//!
//! Every accepted order comes to a definite end, whatever fails and whenever:
//! sold and paid, or nothing held and nothing charged. The service orders the
//! steps and remembers how far they are. Stock and money themselves are kept by
//! the inventory and the payment service, which repeat their answers.
//!
//! Start with [`saga::plan`], then [`store::Store`]. What is not here: who a
//! customer is, which the gateway proves.

pub mod domain;
pub mod saga;
pub mod store;

mod announce;
mod answer;
mod api;
mod catalog;
mod error;
mod forget;
mod meters;
mod progress;
mod purge;
mod recovery;
mod render;
mod runner;
mod settings;

use std::sync::Arc;

use tonic::service::Routes;
use trellis_api::limits::Bounded as _;
use trellis_api::order::v1::order_service_server::OrderServiceServer;
use trellis_chassis::{Clock, Shutdown, Transport};
use trellis_events::bus::Bus;
use trellis_events::{consumer, relay};
use trellis_telemetry::Metrics;

pub use self::forget::{CONSUMER, SUBSCRIPTIONS};
use self::{api::Orders, meters::Meters, runner::Runner, saga::Peers, store::Store};
pub use self::{error::Error, settings::Settings};

/// What the service needs from the world; [`start`] invents none of it.
pub struct Needs {
    pub store: Arc<dyn Store>,
    pub inventory: Transport,
    pub payment: Transport,
    /// Where the events about orders go.
    pub bus: Arc<dyn Bus>,
    pub clock: Arc<dyn Clock>,
    /// Where the service counts.
    pub metrics: Metrics,
}

/// Starts the background work, takes up the sagas that an earlier process left,
/// and returns what the service answers.
pub async fn start(
    settings: &Settings,
    needs: Needs,
    shutdown: &Shutdown,
) -> anyhow::Result<Routes> {
    settings.check()?;
    let Needs { store, inventory, payment, bus, clock, metrics } = needs;
    // A process that is told to stop before it begins only answers questions.
    if !shutdown.is_requested() {
        recovery::free_orphans(&*store).await?;
    }
    let peers = Peers::new(inventory, payment);
    let meters = Meters::new(&metrics, &clock);
    let runner = Runner::new(settings, &store, &peers, &clock, &meters, shutdown);
    let stop = || shutdown.clone();
    shutdown.spawn("order.recovery", recovery::run(runner.clone(), settings.recovery_interval()));
    shutdown.spawn("order.purge", purge::run(Arc::clone(&store), Arc::clone(&clock), stop()));
    for (shard, outbox) in store.outboxes().into_iter().enumerate() {
        let (name, bus, now) = (relay::name("order", shard), Arc::clone(&bus), Arc::clone(&clock));
        shutdown.spawn("order.relay", relay::run(name, outbox, bus, now, metrics.clone(), stop()));
    }
    let (inbox, letters, now) = (store.inbox(), store.dead_letters(), Arc::clone(&clock));
    let inbox = consumer::housekeeping(CONSUMER, inbox, letters, now, metrics.clone(), stop());
    shutdown.spawn("order.inbox", inbox);

    let consumer = forget::server(Arc::clone(&store), Arc::clone(&clock), &metrics);
    let orders = Orders::new(store, peers, runner, clock, stop());
    Ok(Routes::new(OrderServiceServer::new(orders).bounded()).add_service(consumer))
}

impl std::fmt::Debug for Needs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Needs").finish_non_exhaustive()
    }
}
