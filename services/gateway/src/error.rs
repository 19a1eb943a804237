//! Errors that the gateway itself finds.
//!
//! What the services answer is passed on as it is: they all speak the same
//! errors, and none of them shows its internals.

use axum::body::Body;
use http::{HeaderMap, Response};
use prost_reflect::DescriptorPool;
use tonic::{Code, Status};
use trellis_api::error;

/// A product that is not in the catalogue.
pub(crate) fn product_not_found(sku: &str) -> Status {
    let message = format!("there is no product {sku}");
    error::status(Code::NotFound, "PRODUCT_NOT_FOUND", message, &[("sku", sku)])
}

/// Refuses a call before it reaches a handler, in the form that it came in.
pub(crate) fn refuse(headers: &HeaderMap, status: &Status) -> Response<Body> {
    if crate::door::is_grpc(headers) {
        return status.clone().into_http();
    }
    // Details are left out here: this answer must be cheap.
    crate::json::error(&DescriptorPool::new(), status)
}
