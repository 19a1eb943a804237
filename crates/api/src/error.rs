//! Errors that say what went wrong in a way that programs can read.
//!
//! Every status carries a `google.rpc.ErrorInfo`, as AIP-193 asks: its reason
//! and domain together name the error for good, so a published pair never
//! changes its meaning.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Scopes the reasons.
pub const DOMAIN: &str = "trellis";

/// What is wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its path, such as `items[2].sku`.
    pub field: String,
    /// What it must be, as a clause that continues the field's name.
    pub description: String,
}

/// A request that cannot be taken, with all that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(Vec<Violation>);

impl Violation {
    /// Says what a field must be.
    pub fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self { field: field.into(), description: description.into() }
    }
}

/// Parses a field, and names it when it cannot be parsed.
pub fn field<T>(name: &str, text: &str) -> Result<T, Violation>
where
    T: FromStr<Err: fmt::Display>,
{
    text.parse().map_err(|error: T::Err| Violation::new(name, error.to_string()))
}

/// An error with its reason; whatever varies in the message is in `metadata` too.
pub fn status(
    code: Code,
    reason: &'static str,
    message: impl Into<String>,
    metadata: &[(&str, &str)],
) -> Status {
    Status::with_error_details(code, message, info(reason, metadata))
}

/// An error that may be gone when the call is repeated after a while.
pub fn unavailable(
    reason: &'static str,
    message: impl Into<String>,
    retry_after: Duration,
) -> Status {
    retry_later(Code::Unavailable, reason, message, retry_after)
}

/// An error of any code that says when to come back.
pub fn retry_later(
    code: Code,
    reason: &'static str,
    message: impl Into<String>,
    retry_after: Duration,
) -> Status {
    let mut details = info(reason, &[]);
    details.set_retry_info(Some(retry_after));
    Status::with_error_details(code, message, details)
}

/// An error whose cause is ours to read in the log, not the caller's to see.
pub fn internal() -> Status {
    status(Code::Internal, "INTERNAL", "internal error", &[])
}

/// The reason that a status carries.
pub fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}

/// What a status says about `key`.
pub fn metadata(status: &Status, key: &str) -> Option<String> {
    status.get_details_error_info()?.metadata.remove(key)
}

/// How long the other side asks to wait before the call is repeated.
pub fn retry_after(status: &Status) -> Option<Duration> {
    status.get_details_retry_info()?.retry_delay
}

/// The name of a code in google/rpc/code.proto.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

fn info(reason: &'static str, metadata: &[(&str, &str)]) -> ErrorDetails {
    let metadata: HashMap<String, String> =
        metadata.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    ErrorDetails::with_error_info(reason, DOMAIN, metadata)
}

impl Invalid {
    /// What is wrong.
    pub fn violations(&self) -> &[Violation] {
        &self.0
    }
}

impl From<Violation> for Invalid {
    fn from(violation: Violation) -> Self {
        Self(vec![violation])
    }
}

impl From<Vec<Violation>> for Invalid {
    fn from(violations: Vec<Violation>) -> Self {
        Self(violations)
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{} {}", violation.field, violation.description)?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

impl From<Invalid> for Status {
    fn from(invalid: Invalid) -> Self {
        let message = invalid.to_string();
        let mut details = info("INVALID_FIELD", &[]);
        for violation in invalid.0 {
            details.add_bad_request_violation(violation.field, violation.description);
        }
        Self::with_error_details(Code::InvalidArgument, message, details)
    }
}

impl From<Violation> for Status {
    fn from(violation: Violation) -> Self {
        Invalid::from(violation).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_why_for_programs_and_for_people() {
        let error = status(Code::FailedPrecondition, "OUT_OF_STOCK", "sold out", &[("sku", "MUG")]);

        assert_eq!(error.message(), "sold out");
        assert_eq!(reason(&error).as_deref(), Some("OUT_OF_STOCK"));
        assert_eq!(metadata(&error, "sku").as_deref(), Some("MUG"));
        assert_eq!(metadata(&error, "other"), None);
    }

    #[test]
    fn every_bad_field_is_named() {
        let invalid = Invalid::from(vec![
            Violation::new("sku", "must not be empty"),
            Violation::new("quantity", "must be 1 to 5"),
        ]);

        let error = Status::from(invalid);

        let fields = error.get_details_bad_request().unwrap().field_violations;
        assert_eq!(error.code(), Code::InvalidArgument);
        assert_eq!(error.message(), "sku must not be empty; quantity must be 1 to 5");
        assert_eq!(fields.len(), 2);
        assert_eq!(fields[1].field, "quantity");
    }

    #[test]
    fn an_unavailable_service_says_when_to_come_back() {
        let error = unavailable("BUSY", "busy", Duration::from_millis(500));

        assert_eq!(retry_after(&error), Some(Duration::from_millis(500)));
    }
}
