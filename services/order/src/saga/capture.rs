//! Takes the authorized money; undone by giving it back.

use trellis_api::payment::v1 as pb;

use crate::domain::Order;

use super::authorize::payment_id;
use super::peers::{refusal, request};
use super::{Answer, Peers, Refusal, Step, Trouble};

/// Takes what is blocked on the card.
pub(super) async fn capture(peers: &Peers, order: &Order) -> Result<Answer, Trouble> {
    let message = pb::CapturePaymentRequest { payment_id: payment_id(order.order_id) };
    match peers.payment.clone().capture_payment(request(message, Step::Capture)).await {
        Ok(_) => Ok(Answer::Done),
        Err(status) => refusal(status, |reason, _| {
            (reason == "CAPTURE_FAILED").then_some(Refusal::CaptureFailed)
        }),
    }
}

/// Gives the captured amount back, all of it.
pub(super) async fn refund(peers: &Peers, order: &Order) -> Result<Answer, Trouble> {
    let message = pb::RefundPaymentRequest { payment_id: payment_id(order.order_id) };
    peers.payment.clone().refund_payment(request(message, Step::Refund)).await?;
    Ok(Answer::Done)
}
