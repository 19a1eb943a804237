//! Deletes the cart of a customer whose account is gone. Orders stay.

use std::sync::Arc;

use async_trait::async_trait;
use prost::Message as _;
use trellis_api::event::v1::UserDeleted;
use trellis_api::id::UserId;
use trellis_chassis::Clock;
use trellis_events::Event;
use trellis_events::consumer::{Failure, Handler};

use crate::store::Store;

/// The kind of event that tells of it.
pub(crate) const KIND: &str = "user.deleted";

pub(crate) struct ForgetUsers {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl ForgetUsers {
    pub(crate) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }
}

#[async_trait]
impl Handler for ForgetUsers {
    async fn handle(&self, event: &Event) -> Result<(), Failure> {
        if event.r#type != KIND {
            return Ok(());
        }
        let deleted = UserDeleted::decode(&event.payload[..])
            .map_err(|error| Failure::Permanent(error.to_string()))?;
        let user_id: UserId = deleted
            .user_id
            .parse()
            .map_err(|error| Failure::Permanent(format!("user_id {error}")))?;
        self.store
            .forget_user(event.event_id.clone(), user_id, self.clock.now())
            .await
            .map_err(|error| Failure::Transient(error.to_string()))
    }
}
