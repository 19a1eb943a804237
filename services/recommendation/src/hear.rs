//! What the service does with events.
//!
//! An event's effect is one small row, committed with its inbox row; the model
//! follows. When an event is answered, suggestions know of it, unless the
//! model is still reading what came before.

use std::sync::Arc;

use async_trait::async_trait;
use prost::Message;
use time::OffsetDateTime;
use trellis_api::event::v1::{OrderConfirmed, ProductViewed};
use trellis_api::{Sku, error, timestamp};
use trellis_chassis::Clock;
use trellis_events::Event;
use trellis_events::consumer::{Failure, Handler};

use crate::domain::{Basket, Hour, View};
use crate::follow::Learner;
use crate::store::Store;

pub(crate) const ORDER_CONFIRMED: &str = "order.confirmed";
pub(crate) const PRODUCT_VIEWED: &str = "product.viewed";

/// Learns from what it hears.
pub(crate) struct Hearing {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) learner: Arc<Learner>,
    pub(crate) clock: Arc<dyn Clock>,
}

#[async_trait]
impl Handler for Hearing {
    async fn handle(&self, event: &Event) -> Result<(), Failure> {
        let now = self.clock.now();
        // A publisher's clock may be ahead, and the future would weigh too much.
        let time = happened(event)?.min(now);
        let event_id = event.event_id.clone();
        let kept = match event.r#type.as_str() {
            ORDER_CONFIRMED => {
                self.store.keep_basket(event_id, basket(&decode(event)?, time)?, now).await
            }
            PRODUCT_VIEWED => {
                let view = view(&decode(event)?, time)?;
                if view.hour < Hour::of(now).oldest_kept() {
                    return Ok(());
                }
                self.store.count_view(event_id, view, now).await
            }
            other => return Err(permanent(format!("{other} is not subscribed to"))),
        };
        let position = kept.inspect_err(|error| {
            tracing::error!(error = error as &dyn std::error::Error, "an event was not kept");
        })?;
        if let Err(error) = self.learner.reach(position).await {
            // It is kept; the model reads it as soon as it can.
            tracing::warn!(error = &error as &dyn std::error::Error, "the model lags behind");
        }
        Ok(())
    }
}

fn happened(event: &Event) -> Result<OffsetDateTime, Failure> {
    event
        .create_time
        .as_ref()
        .and_then(timestamp::from_proto)
        .ok_or_else(|| permanent("create_time must be a time"))
}

fn decode<M: Message + Default>(event: &Event) -> Result<M, Failure> {
    M::decode(event.payload.clone()).map_err(|error| permanent(error.to_string()))
}

fn basket(order: &OrderConfirmed, time: OffsetDateTime) -> Result<Basket, Failure> {
    let order_id =
        error::field("order_id", &order.order_id).map_err(|violation| refused(&violation))?;
    let skus: Vec<Sku> = order
        .items
        .iter()
        .enumerate()
        .map(|(index, item)| error::field(&format!("items[{index}].sku"), &item.sku))
        .collect::<Result<_, _>>()
        .map_err(|violation| refused(&violation))?;
    Basket::new(order_id, skus, time).ok_or_else(|| permanent("items must not be empty"))
}

fn view(viewed: &ProductViewed, time: OffsetDateTime) -> Result<View, Failure> {
    let sku = error::field("sku", &viewed.sku).map_err(|violation| refused(&violation))?;
    Ok(View { sku, hour: Hour::of(time) })
}

fn refused(violation: &error::Violation) -> Failure {
    permanent(format!("{} {}", violation.field, violation.description))
}

fn permanent(reason: impl Into<String>) -> Failure {
    Failure::Permanent(reason.into())
}
