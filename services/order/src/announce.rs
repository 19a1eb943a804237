//! What others hear of an order that has come to an end.

use time::OffsetDateTime;
use trellis_api::event::v1 as pb;
use trellis_events::{Event, event};

use crate::domain::{Order, State};

/// The event of the order's new state; a pending order is nobody's business yet.
pub(crate) fn announce(order: &Order, now: OffsetDateTime) -> Option<Event> {
    let order_id = order.order_id.to_string();
    let user_id = order.user_id.to_string();
    let subject = order_id.clone();
    let bucket = order.order_id.bucket();
    match order.state {
        State::Pending => None,
        State::Confirmed => {
            let items = order
                .items
                .iter()
                .map(|item| pb::EventItem {
                    sku: item.sku.to_string(),
                    quantity: item.quantity.get(),
                })
                .collect();
            let total = Some(order.total.into());
            let payload = pb::OrderConfirmed { order_id, user_id, items, total };
            Some(event(now, bucket, "order.confirmed", subject, &payload))
        }
        State::Cancelled(reason) => {
            let reason = reason.as_str().to_owned();
            let payload = pb::OrderCancelled { order_id, user_id, reason };
            Some(event(now, bucket, "order.cancelled", subject, &payload))
        }
        State::Refunded(_) => {
            let payload = pb::OrderRefunded { order_id, user_id, total: Some(order.total.into()) };
            Some(event(now, bucket, "order.refunded", subject, &payload))
        }
    }
}
