//! Holds the stock; undone by giving it back.

use tonic::Status;
use trellis_api::error;
use trellis_api::id::{OrderId, ReservationId};
use trellis_api::inventory::v1 as pb;
use trellis_api::inventory::v1::reservation::State;

use crate::domain::{Item, Order};

use super::peers::{refusal, request};
use super::{Answer, Peers, Refusal, Step, Trouble, policy};

/// Holds every item, or none.
pub(super) async fn reserve(peers: &Peers, order: &Order) -> Result<Answer, Trouble> {
    let message = pb::ReserveStockRequest {
        reservation_id: reservation_id(order.order_id),
        lines: order.items.iter().map(line).collect(),
        ttl: Some(policy::RESERVATION.try_into().expect("a quarter of an hour is a duration")),
    };
    match peers.inventory.clone().reserve_stock(request(message, Step::Reserve)).await {
        Ok(response) => Ok(standing(response.into_inner().reservation.as_ref())),
        Err(status) => refusal(status, not_reserved),
    }
}

/// Gives the items back, or makes sure that they will never be held.
pub(super) async fn release(peers: &Peers, order: &Order) -> Result<Answer, Trouble> {
    let message = pb::ReleaseReservationRequest { reservation_id: reservation_id(order.order_id) };
    match peers.inventory.clone().release_reservation(request(message, Step::Release)).await {
        Ok(_) => Ok(Answer::Done),
        Err(status) => refusal(status, |reason, _| {
            (reason == "RESERVATION_COMMITTED").then_some(Refusal::Committed)
        }),
    }
}

/// The reservation's id, which is the order's under another name.
pub(super) fn reservation_id(order_id: OrderId) -> String {
    let id: ReservationId = order_id.sibling();
    id.to_string()
}

/// Reasons for which there are no units to sell, whichever step hears of it.
pub(super) fn is_not_held(reason: &str) -> bool {
    matches!(reason, "RESERVATION_EXPIRED" | "RESERVATION_RELEASED" | "RESERVATION_REJECTED")
}

fn not_reserved(reason: &str, status: &Status) -> Option<Refusal> {
    match reason {
        "OUT_OF_STOCK" => {
            Some(Refusal::OutOfStock { sku: error::metadata(status, "sku").unwrap_or_default() })
        }
        _ if is_not_held(reason) => Some(Refusal::NotHeld),
        _ => None,
    }
}

/// A repetition may be told what has become of the reservation since.
fn standing(reservation: Option<&pb::Reservation>) -> Answer {
    match reservation.map(pb::Reservation::state) {
        Some(State::Released | State::Expired | State::Rejected) => {
            Answer::Refused(Refusal::NotHeld)
        }
        _ => Answer::Done,
    }
}

fn line(item: &Item) -> pb::ReservationLine {
    pb::ReservationLine { sku: item.sku.to_string(), quantity: item.quantity.get() }
}
