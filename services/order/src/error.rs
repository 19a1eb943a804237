//! What can go wrong, as callers see it.

use std::time::Duration;

use tonic::{Code, Status};
use trellis_api::Sku;
use trellis_api::error::{Invalid, Violation};
use trellis_api::error::{internal, status, unavailable};
use trellis_storage as storage;

use crate::domain::MAX_LINES;

/// One variant for each thing that a caller could do something about.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the request is not valid")]
    Invalid(#[from] Invalid),
    /// Unknown orders and those of others are one error, so that nobody can ask
    /// which ids exist.
    #[error("there is no such order")]
    OrderNotFound,
    #[error("the cart is empty")]
    CartEmpty,
    #[error("the cart has no room for another product, {MAX_LINES} are the most")]
    CartFull,
    /// The cart names a product that is no longer for sale.
    #[error("{sku} is no longer for sale")]
    CartStale { sku: Sku },
    #[error("the products are priced in different currencies")]
    MixedCurrencies,
    #[error("there is nothing to pay")]
    NothingToPay,
    #[error("the total is out of range")]
    TotalOutOfRange,
    #[error("the request id was used before, for something else")]
    RequestIdReused,
    #[error("too many checkouts are at work")]
    Overloaded,
    #[error("this server is stopping")]
    Stopping,
    #[error("the catalogue cannot be reached")]
    CatalogUnavailable(#[source] Status),
    #[error("the catalogue gave an answer that makes no sense")]
    Catalog(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("a stored answer cannot be read")]
    Answer(#[from] prost::DecodeError),
    #[error("the order store failed")]
    Storage(#[from] storage::Error),
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Self::Invalid(violation.into())
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let soon = Duration::from_secs(1);
        let refused = |reason| status(Code::FailedPrecondition, reason, message.as_str(), &[]);
        match error {
            Error::Invalid(invalid) => invalid.into(),
            Error::OrderNotFound => status(Code::NotFound, "ORDER_NOT_FOUND", message, &[]),
            Error::CartEmpty => refused("CART_EMPTY"),
            Error::CartFull => refused("CART_FULL"),
            Error::CartStale { sku } => {
                status(Code::FailedPrecondition, "CART_STALE", message, &[("sku", sku.as_str())])
            }
            Error::MixedCurrencies => refused("MIXED_CURRENCIES"),
            Error::NothingToPay => refused("NOTHING_TO_PAY"),
            Error::TotalOutOfRange => refused("TOTAL_OUT_OF_RANGE"),
            Error::RequestIdReused => {
                status(Code::InvalidArgument, "IDEMPOTENCY_KEY_REUSED", message, &[])
            }
            Error::Overloaded => unavailable("CHECKOUT_OVERLOADED", message, soon),
            Error::Stopping => unavailable("STOPPING", message, soon),
            Error::CatalogUnavailable(cause) => {
                tracing::warn!(error = &cause as &dyn std::error::Error, "{message}");
                unavailable("CATALOG_UNAVAILABLE", message, soon)
            }
            Error::Catalog(cause) => {
                tracing::error!(error = &*cause as &dyn std::error::Error, "{message}");
                internal()
            }
            Error::Answer(cause) => {
                tracing::error!(error = &cause as &dyn std::error::Error, "{message}");
                internal()
            }
            Error::Storage(cause) => cause.into(),
        }
    }
}
