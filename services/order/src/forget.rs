//! Deletes the cart of a customer whose account is gone. Orders stay.

use std::sync::Arc;

use async_trait::async_trait;
use prost::Message as _;
use trellis_api::event::v1::UserDeleted;
use trellis_api::event::v1::consumer_service_server::ConsumerServiceServer;
use trellis_api::id::UserId;
use trellis_chassis::Clock;
use trellis_events::Event;
use trellis_events::consumer::{self, Consumer, Failure, Handler};
use trellis_telemetry::Metrics;

use crate::store::Store;

/// The name under which the service hears events.
pub const CONSUMER: &str = "order";

/// The kinds of events that it hears.
pub const SUBSCRIPTIONS: &[&str] = &[USER_DELETED];

const USER_DELETED: &str = "user.deleted";

struct ForgetUsers {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

/// The service that hears of deleted accounts.
pub(crate) fn server(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: &Metrics,
) -> ConsumerServiceServer<Consumer> {
    let dead_letters = store.dead_letters();
    let forget = ForgetUsers { store, clock: Arc::clone(&clock) };
    consumer::server(CONSUMER, SUBSCRIPTIONS, Arc::new(forget), dead_letters, clock, metrics)
}

#[async_trait]
impl Handler for ForgetUsers {
    async fn handle(&self, event: &Event) -> Result<(), Failure> {
        if event.r#type != USER_DELETED {
            return Ok(());
        }
        let deleted = UserDeleted::decode(&event.payload[..])
            .map_err(|error| Failure::Permanent(error.to_string()))?;
        let user_id: UserId = deleted
            .user_id
            .parse()
            .map_err(|error| Failure::Permanent(format!("user_id {error}")))?;
        self.store.forget_user(event.event_id.clone(), user_id, self.clock.now()).await?;
        Ok(())
    }
}
