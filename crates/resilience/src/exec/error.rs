//! How a call ends if not with a value.

use std::time::Duration;

use tonic::Code;

/// Why a call has no value.
#[derive(Debug, thiserror::Error)]
pub enum ExecError<E> {
    /// Nothing was done.
    #[error("the call was not made")]
    Rejected(#[source] Rejection),
    /// There was no answer in time to something that changes nothing.
    #[error("the deadline has passed")]
    DeadlineExceeded {
        /// How the last attempt that ended before failed.
        #[source]
        last: Option<E>,
    },
    /// There was no answer, or it made no sense, and it may have been done all the
    /// same. This must be found out, not taken for a failure: a charge that may have
    /// been made is not made elsewhere.
    #[error("it is not known whether the call took effect")]
    Unknown {
        /// How the last attempt that ended failed.
        #[source]
        last: Option<E>,
    },
    /// The last attempt ended with this error, and it is known what that means.
    #[error("the call failed")]
    Failed(#[source] E),
}

/// Why a call was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The last calls failed, so this one would probably fail too.
    #[error("the breaker is open")]
    BreakerOpen {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// As many calls as are allowed at once are being made.
    #[error("too many calls are in flight")]
    Bulkhead,
    /// More are in flight than the peer has lately borne.
    #[error("the limit of calls in flight is reached")]
    Limited,
    /// The peer has refused so many calls that this one would be refused too.
    #[error("the peer is overloaded")]
    Throttled,
    /// Less than a millisecond is left, or nothing.
    #[error("the deadline is too short")]
    DeadlineTooShort,
    /// Chaos put this in place of the call.
    #[error("a fault was injected: {0:?}")]
    Injected(Code),
}

impl<E> ExecError<E> {
    /// When it is worth trying again, if that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Rejected(Rejection::BreakerOpen { retry_after }) => Some(*retry_after),
            _ => None,
        }
    }

    /// What the last attempt that ended said, if one did.
    pub fn into_last(self) -> Option<E> {
        match self {
            Self::Failed(error) => Some(error),
            Self::DeadlineExceeded { last } | Self::Unknown { last } => last,
            Self::Rejected(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::io;

    use super::*;

    fn broken() -> io::Error {
        io::Error::other("pipe broken")
    }

    #[test]
    fn each_error_says_its_own_part_and_leads_to_its_cause() {
        for (error, said, cause) in [
            (
                ExecError::Rejected(Rejection::Bulkhead),
                "the call was not made",
                Some("too many calls are in flight"),
            ),
            (
                ExecError::Rejected(Rejection::Injected(Code::Unavailable)),
                "the call was not made",
                Some("a fault was injected: Unavailable"),
            ),
            (ExecError::DeadlineExceeded { last: None }, "the deadline has passed", None),
            (
                ExecError::Unknown { last: Some(broken()) },
                "it is not known whether the call took effect",
                Some("pipe broken"),
            ),
            (ExecError::Failed(broken()), "the call failed", Some("pipe broken")),
        ] {
            assert_eq!(error.to_string(), said);
            assert_eq!(error.source().map(ToString::to_string).as_deref(), cause);
        }
    }
}
