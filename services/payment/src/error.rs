//! What can go wrong with a payment, and how a caller is told.

use std::time::Duration;

use tonic::{Code, Status};
use trellis_api::error::{Invalid, Violation, internal, status, unavailable};
use trellis_api::id::PaymentId;

use crate::domain::Refusal;
use crate::processor;

/// When to ask again for an outcome that is not known yet.
///
/// Not when the processor wants to be asked again: it is asked no earlier than that in
/// any case, and the breaker of who calls us would hold back captures with the rest.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a call was not answered with a payment.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("there is no payment {0}")]
    NotFound(PaymentId),
    #[error("payment {0} was asked for before, with another amount or token")]
    IdReused(PaymentId),
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The processor may or may not have done what it was asked.
    #[error("the outcome of the payment is not known yet")]
    OutcomeUnknown(#[source] processor::Error),
    #[error("the payment store failed")]
    Store(#[from] trellis_storage::Error),
}

impl Error {
    /// Whether the processor was not asked at all this time.
    pub(crate) fn was_held_back(&self) -> bool {
        matches!(self, Self::OutcomeUnknown(error) if error.was_held_back())
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Self::Invalid(violation.into())
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Invalid(invalid) => invalid.into(),
            Error::NotFound(payment) => {
                let payment = payment.to_string();
                let metadata = [("payment_id", payment.as_str())];
                status(Code::NotFound, "PAYMENT_NOT_FOUND", message, &metadata)
            }
            Error::IdReused(payment) => {
                let payment = payment.to_string();
                let metadata = [("payment_id", payment.as_str())];
                status(Code::InvalidArgument, "IDEMPOTENCY_KEY_REUSED", message, &metadata)
            }
            Error::Refused(refusal) => refused(&refusal, &message),
            Error::OutcomeUnknown(cause) => {
                tracing::warn!(error = &cause as &dyn std::error::Error, "{message}");
                unavailable("PAYMENT_OUTCOME_UNKNOWN", message, RETRY_AFTER)
            }
            Error::Store(cause) => cause.into(),
        }
    }
}

fn refused(refusal: &Refusal, message: &str) -> Status {
    let precondition = |reason, metadata: &[(&str, &str)]| {
        status(Code::FailedPrecondition, reason, message, metadata)
    };
    match refusal {
        Refusal::Declined { code } => {
            precondition("PAYMENT_DECLINED", &[("decline_code", code.as_str())])
        }
        Refusal::Voided => precondition("PAYMENT_VOIDED", &[]),
        Refusal::NotAuthorized => precondition("PAYMENT_NOT_AUTHORIZED", &[]),
        Refusal::CaptureRefused { code } => {
            precondition("CAPTURE_FAILED", &[("code", code.as_str())])
        }
        Refusal::Captured => precondition("PAYMENT_CAPTURED", &[]),
        Refusal::NotCaptured => precondition("PAYMENT_NOT_CAPTURED", &[]),
        Refusal::RefundRefused { code } => {
            precondition("REFUND_FAILED", &[("code", code.as_str())])
        }
        // A state that the processor's answers cannot lead to.
        Refusal::Contradiction => {
            tracing::error!("{message}");
            internal()
        }
    }
}
