//! What can go wrong, told apart by what a caller can do about it.

use tonic::Status;
use trellis_api::error::{Invalid, Violation};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field is not what it must be.
    #[error("the request is invalid")]
    Invalid(#[source] Invalid),
    /// The store failed; only audits ask it.
    #[error(transparent)]
    Storage(#[from] trellis_storage::Error),
}

impl From<Vec<Violation>> for Error {
    fn from(violations: Vec<Violation>) -> Self {
        Self::Invalid(violations.into())
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(invalid) => invalid.into(),
            Error::Storage(error) => error.into(),
        }
    }
}
