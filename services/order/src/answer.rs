//! What a checkout's caller is told once the order is final.
//!
//! The answer is made when the saga ends and stored with its end. Whoever asks,
//! the first caller or a repetition, is told what the same bytes say.

use prost::Message as _;
use tonic::metadata::MetadataValue;
use tonic::{Code, Response, Status};
use trellis_api::error;
use trellis_api::order::v1::CheckoutResponse;
use trellis_storage::idempotency::Answer;

use crate::domain::{Cancellation, Order, Reason};
use crate::error::Error;
use crate::render;

/// Marks an answer as a repetition's.
const REPLAYED: &str = "idempotency-replayed";

/// The answer about a final order. Two reasons are errors to the customer, who
/// can do something about them; with any other the order speaks for itself.
pub(crate) fn about(order: &Order, why: Option<&Cancellation>) -> Answer {
    match why.and_then(|why| refusal(order, why)) {
        Some(status) => {
            Answer { code: Code::FailedPrecondition.into(), body: status.details().to_vec() }
        }
        None => Answer { code: Code::Ok.into(), body: success(order).encode_to_vec() },
    }
}

/// The answer about an order as it is, for those who could not wait for its end.
pub(crate) fn success(order: &Order) -> CheckoutResponse {
    CheckoutResponse { order: Some(render::order(order)) }
}

/// Gives an answer.
pub(crate) fn give(answer: &Answer) -> Result<Response<CheckoutResponse>, Status> {
    let body = answer.body.as_slice();
    if answer.code == i32::from(Code::Ok) {
        let response = CheckoutResponse::decode(body).map_err(Error::from)?;
        return Ok(Response::new(response));
    }
    let message = tonic_types::Status::decode(body).map_err(Error::from)?.message;
    Err(Status::with_details(Code::from_i32(answer.code), message, answer.body.clone().into()))
}

/// Tells the caller that this answer was given before.
pub(crate) fn mark_replayed<T>(
    mut answer: Result<Response<T>, Status>,
) -> Result<Response<T>, Status> {
    let metadata = match &mut answer {
        Ok(response) => response.metadata_mut(),
        Err(status) => status.metadata_mut(),
    };
    metadata.insert(REPLAYED, MetadataValue::from_static("true"));
    answer
}

fn refusal(order: &Order, why: &Cancellation) -> Option<Status> {
    let (message, detail) = match why.reason {
        Reason::OutOfStock => ("not everything is in stock", "sku"),
        Reason::PaymentDeclined => ("the payment was declined", "decline_code"),
        _ => return None,
    };
    let order_id = order.order_id.to_string();
    let metadata = [("order_id", order_id.as_str()), (detail, why.detail.as_str())];
    Some(error::status(Code::FailedPrecondition, why.reason.as_str(), message, &metadata))
}
