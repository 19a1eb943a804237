//! Blocks the money on the card; undone by letting it go.
//!
//! An authorization without a definite answer is unknown, never failed: the
//! payment service says UNAVAILABLE until it has found out.

use tonic::Status;
use trellis_api::error;
use trellis_api::id::{OrderId, PaymentId};
use trellis_api::payment::v1 as pb;
use trellis_api::payment::v1::payment::State;

use crate::domain::Order;

use super::peers::{refusal, request};
use super::{Answer, Peers, Refusal, Saga, Step, Trouble};

/// Blocks the order's total.
pub(super) async fn authorize(peers: &Peers, saga: &Saga) -> Result<Answer, Trouble> {
    let Some(token) = &saga.payment_token else {
        return Err(Trouble::unexpected("the payment token is gone"));
    };
    let message = pb::AuthorizePaymentRequest {
        payment_id: payment_id(saga.order.order_id),
        amount: Some(saga.order.total.into()),
        payment_token: token.expose().to_owned(),
    };
    let response = peers.payment.clone().authorize_payment(request(message, Step::Authorize)).await;
    let payment = match response {
        Ok(response) => response.into_inner().payment.unwrap_or_default(),
        Err(status) => return refusal(status, not_authorized),
    };
    match payment.state() {
        State::Authorized | State::Captured | State::Refunded => Ok(Answer::Done),
        State::Declined => Ok(Answer::Refused(Refusal::Declined { code: payment.decline_code })),
        State::Voided | State::Voiding => Ok(Answer::Refused(Refusal::Voided)),
        State::Unspecified | State::Authorizing => {
            Err(Trouble::unsettled("the authorization is not definite yet"))
        }
    }
}

/// Lets the money go, or makes sure that it will never be blocked.
pub(super) async fn void(peers: &Peers, order: &Order) -> Result<Answer, Trouble> {
    let message = pb::VoidPaymentRequest { payment_id: payment_id(order.order_id) };
    let response = peers.payment.clone().void_payment(request(message, Step::Void)).await?;
    match response.into_inner().payment.unwrap_or_default().state() {
        State::Voided | State::Declined => Ok(Answer::Done),
        _ => Err(Trouble::unsettled("the void is not definite yet")),
    }
}

/// The payment's id, which is the order's under another name.
pub(super) fn payment_id(order_id: OrderId) -> String {
    let id: PaymentId = order_id.sibling();
    id.to_string()
}

fn not_authorized(reason: &str, status: &Status) -> Option<Refusal> {
    match reason {
        "PAYMENT_DECLINED" => Some(Refusal::Declined {
            code: error::metadata(status, "decline_code").unwrap_or_default(),
        }),
        "PAYMENT_VOIDED" => Some(Refusal::Voided),
        _ => None,
    }
}
