//! Recommendations: what goes with what, and what is in demand.
//!
//! The service learns from `order.confirmed` and `product.viewed` and answers
//! from memory, in microseconds. Its store is the truth: the model is read from
//! it at a start, in the background, and again whenever an event has added to
//! it. What is not here: which products exist, what they are called and whether
//! they are in stock, which the inventory knows. A shop without this service
//! still sells.

pub mod domain;
pub mod store;

mod api;
mod audit;
mod error;
mod follow;
mod hear;
mod settings;
mod upkeep;

use std::sync::Arc;

use tonic::service::Routes;
use trellis_api::limits::Bounded as _;
use trellis_api::recommendation::v1::recommendation_service_server::RecommendationServiceServer;
use trellis_chassis::{Clock, Shutdown};
use trellis_events::consumer;
use trellis_telemetry::Metrics;

use crate::{api::Recommendations, follow::Learner, hear::Hearing};

pub use crate::error::Error;
pub use crate::settings::Settings;
pub use crate::store::{Store, open};

/// The events that the service wants to hear.
pub const SUBSCRIPTIONS: &[&str] = &[hear::ORDER_CONFIRMED, hear::PRODUCT_VIEWED];

/// What the service is called where events are delivered.
pub const CONSUMER: &str = "recommendation";

/// What the service needs from the world; [`start`] invents none of it.
pub struct Needs {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    /// Where the service counts.
    pub metrics: Metrics,
}

/// Starts the background work and returns what the service answers.
///
/// A long history is read in the background; until that is done, suggestions
/// know only a part of it.
pub async fn start(
    settings: &Settings,
    needs: Needs,
    shutdown: &Shutdown,
) -> anyhow::Result<Routes> {
    settings.check()?;
    let Needs { store, clock, metrics } = needs;
    let learner = Arc::new(Learner::new(store.clone(), settings.limits(), clock.now()).await?);
    // One batch: a small shop knows everything from the first call on.
    learner.advance().await?;

    let (keep, stop) = (settings.keep(), || shutdown.clone());
    shutdown.spawn("recommendation.follow", follow::run(learner.clone(), stop()));
    let upkeep = upkeep::run(store.clone(), learner.clone(), keep, clock.clone(), stop());
    shutdown.spawn("recommendation.upkeep", upkeep);
    let (inbox, letters, now) = (store.inbox(), store.dead_letters(), clock.clone());
    let inbox = consumer::housekeeping(CONSUMER, inbox, letters, now, metrics.clone(), stop());
    shutdown.spawn("recommendation.inbox", inbox);

    let hearing = Hearing { store: store.clone(), learner: learner.clone(), clock: clock.clone() };
    let (hearing, letters, now) = (Arc::new(hearing), store.dead_letters(), clock.clone());
    let consumer = consumer::server(CONSUMER, SUBSCRIPTIONS, hearing, letters, now, &metrics);
    let service =
        RecommendationServiceServer::new(Recommendations { store, learner, clock }).bounded();
    Ok(Routes::new(service).add_service(consumer))
}

impl std::fmt::Debug for Needs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Needs").finish_non_exhaustive()
    }
}
