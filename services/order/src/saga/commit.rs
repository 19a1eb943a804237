//! Sells what is held: the pivot. Undone by putting it back on the shelf.

use trellis_api::inventory::v1 as pb;

use crate::domain::Order;

use super::peers::{refusal, request};
use super::reserve::{is_not_held, reservation_id};
use super::{Answer, Peers, Refusal, Step, Trouble};

/// Takes the held units out of stock for good.
pub(super) async fn commit(peers: &Peers, order: &Order) -> Result<Answer, Trouble> {
    let message = pb::CommitReservationRequest { reservation_id: reservation_id(order.order_id) };
    match peers.inventory.clone().commit_reservation(request(message, Step::Commit)).await {
        Ok(_) => Ok(Answer::Done),
        Err(status) => refusal(status, |reason, _| is_not_held(reason).then_some(Refusal::NotHeld)),
    }
}

/// Puts sold units back.
pub(super) async fn restock(peers: &Peers, order: &Order) -> Result<Answer, Trouble> {
    let message = pb::RestockReservationRequest { reservation_id: reservation_id(order.order_id) };
    peers.inventory.clone().restock_reservation(request(message, Step::Restock)).await?;
    Ok(Answer::Done)
}
