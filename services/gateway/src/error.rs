//! Errors that the gateway itself finds.
//!
//! What the services answer is passed on with its code and its reason: they all
//! speak the same errors, and none of them shows its internals.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, Response};
use prost_reflect::DescriptorPool;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use trellis_api::error;

/// When to come back, if whoever is away has not said it.
const SOON: Duration = Duration::from_secs(1);

/// A product that is not in the catalogue.
pub(crate) fn product_not_found(sku: &str) -> Status {
    let message = format!("there is no product {sku}");
    error::status(Code::NotFound, "PRODUCT_NOT_FOUND", message, &[("sku", sku)])
}

/// Tells someone who cannot know what came of a purchase or of its cancellation how
/// to find out without doing it twice. Code and reason stay as they are.
pub(crate) fn repeat_with_the_same_id(status: Status) -> Status {
    if !matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded) {
        return status;
    }
    let mut details = status.get_error_details();
    if status.code() == Code::Unavailable && details.retry_info().is_none() {
        details.set_retry_info(Some(SOON));
    }
    let message = format!(
        "{}: repeat the call with the same request_id, over HTTP with the same Idempotency-Key",
        status.message(),
    );
    let metadata = status.metadata().clone();
    Status::with_error_details_and_metadata(status.code(), message, details, metadata)
}

/// Refuses a call before it reaches a handler, in the form that it came in.
pub(crate) fn refuse(headers: &HeaderMap, status: &Status) -> Response<Body> {
    if crate::door::is_grpc(headers) {
        return status.clone().into_http();
    }
    // Details are left out here: this answer must be cheap.
    crate::json::error(&DescriptorPool::new(), status)
}
