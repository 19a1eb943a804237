//! What can go wrong, told apart by what a caller can do about it.

use std::time::Duration;

use tonic::{Code, Status};
use trellis_api::Sku;
use trellis_api::error::{internal, retry_later, status};

use crate::domain::{OnHand, Refusal, Shortage};

/// Why the inventory did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A line cannot be held, so none is.
    #[error("{} is out of stock", .0.sku)]
    OutOfStock(Shortage),
    /// The reservation is past the step.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nobody has reserved or released under this id.
    #[error("there is no such reservation")]
    ReservationNotFound,
    /// The reservation's or the request's id was used with other content.
    #[error("the id was used before, for something else")]
    IdReused,
    /// The catalogue does not have it.
    #[error("there is no product {0}")]
    ProductNotFound(Sku),
    /// An import says that there are fewer units than are promised.
    #[error("{reserved} units of {sku} are reserved")]
    StockReserved { sku: Sku, reserved: i64 },
    /// An adjustment takes more than is free.
    #[error("only {available} units of {sku} can be taken")]
    InsufficientStock { sku: Sku, requested: i64, available: i64 },
    /// An adjustment leaves more than a product may have.
    #[error("{sku} would have more than {} units", OnHand::MOST)]
    StockLimit { sku: Sku },
    /// More reservations wait than can be made in good time.
    #[error("too many reservations are waiting")]
    Overloaded,
    /// A stored row says what the code cannot mean.
    #[error("a stored row is inconsistent: {0}")]
    Inconsistent(&'static str),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] trellis_storage::Error),
}

impl Error {
    /// Whether one unit of work alone may have brought it about, so that others
    /// should be tried without that one.
    pub(crate) fn may_be_poison(&self) -> bool {
        use trellis_storage::Error as Storage;
        matches!(
            self,
            Self::Inconsistent(_)
                | Self::Storage(
                    Storage::Constraint { .. } | Storage::Panicked | Storage::Statement(_)
                )
        )
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let refused = |reason, metadata: &[(&str, &str)]| {
            status(Code::FailedPrecondition, reason, message.as_str(), metadata)
        };
        match error {
            Error::OutOfStock(Shortage { sku, requested, available }) => {
                refused("OUT_OF_STOCK", &figures(&sku, requested, available).as_metadata())
            }
            Error::Refused(refusal) => refused(reason(refusal), &[]),
            Error::ReservationNotFound => {
                status(Code::NotFound, "RESERVATION_NOT_FOUND", message, &[])
            }
            Error::IdReused => {
                status(Code::InvalidArgument, "IDEMPOTENCY_KEY_REUSED", message, &[])
            }
            Error::ProductNotFound(sku) => {
                status(Code::NotFound, "PRODUCT_NOT_FOUND", message, &[("sku", sku.as_str())])
            }
            Error::StockReserved { sku, reserved } => {
                let reserved = reserved.to_string();
                refused("STOCK_RESERVED", &[("sku", sku.as_str()), ("reserved", &reserved)])
            }
            Error::InsufficientStock { sku, requested, available } => {
                refused("INSUFFICIENT_STOCK", &figures(&sku, requested, available).as_metadata())
            }
            Error::StockLimit { sku } => refused("STOCK_LIMIT_EXCEEDED", &[("sku", sku.as_str())]),
            Error::Overloaded => retry_later(
                Code::ResourceExhausted,
                "RESERVE_OVERLOADED",
                message,
                Duration::from_millis(100),
            ),
            Error::Inconsistent(what) => {
                tracing::error!(what, "a stored row is inconsistent");
                internal()
            }
            Error::Storage(error) => error.into(),
        }
    }
}

/// What a program needs to know about units that were not there.
struct Figures<'a> {
    sku: &'a Sku,
    requested: String,
    available: String,
}

fn figures(sku: &Sku, requested: i64, available: i64) -> Figures<'_> {
    Figures { sku, requested: requested.to_string(), available: available.to_string() }
}

impl Figures<'_> {
    fn as_metadata(&self) -> [(&str, &str); 3] {
        [("sku", self.sku.as_str()), ("requested", &self.requested), ("available", &self.available)]
    }
}

fn reason(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Expired => "RESERVATION_EXPIRED",
        Refusal::Released => "RESERVATION_RELEASED",
        Refusal::Rejected => "RESERVATION_REJECTED",
        Refusal::Committed => "RESERVATION_COMMITTED",
        Refusal::NotCommitted => "RESERVATION_NOT_COMMITTED",
    }
}
