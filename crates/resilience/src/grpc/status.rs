//! The answers that this crate gives in a peer's stead.
//!
//! Each carries a `google.rpc.ErrorInfo`, so that programs can read why, and where it
//! makes sense a word about the next attempt: `grpc-retry-pushback-ms` for clients
//! after gRFC A6, and `google.rpc.RetryInfo` for all others. Each has a [`Local`] as
//! its source, which no network carries: so [`Local::of`] tells what was decided in
//! this process from what a peer said.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::core::outcome::Pushback;
use crate::grpc::headers::PUSHBACK;

/// Scopes the reasons.
pub const DOMAIN: &str = "resilience";

/// What was decided here, without a word of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Local {
    /// Time ran out while the call was under way, so its effect is unknown.
    #[error("the deadline has passed")]
    DeadlineExceeded,
    /// It was not even begun.
    #[error("too little time is left for the call")]
    DeadlineTooShort,
    #[error("the circuit breaker is open")]
    BreakerOpen,
    #[error("no endpoint is known")]
    NoEndpoints,
    /// The peer refuses so much that some calls are not sent to it.
    #[error("the peer is overloaded, so the call was not sent")]
    Throttled,
    #[error("too many calls are in flight")]
    BulkheadFull,
    /// A server has too much to do.
    #[error("the server is overloaded")]
    Shed,
    /// A caller asks too often.
    #[error("the caller is over its rate")]
    RateLimited,
    /// The cause is for the log, and not for the caller.
    #[error("internal error")]
    Internal,
}

impl Local {
    /// Why `status` was made here; `None` if a peer sent it.
    pub fn of(status: &Status) -> Option<Self> {
        std::error::Error::source(status)?.downcast_ref().copied()
    }

    /// With which code it is answered.
    pub const fn code(self) -> Code {
        match self {
            Self::DeadlineExceeded | Self::DeadlineTooShort => Code::DeadlineExceeded,
            Self::BreakerOpen
            | Self::NoEndpoints
            | Self::Throttled
            | Self::BulkheadFull
            | Self::Shed => Code::Unavailable,
            Self::RateLimited => Code::ResourceExhausted,
            Self::Internal => Code::Internal,
        }
    }

    /// With [`DOMAIN`], it names the answer for good.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::DeadlineTooShort => "DEADLINE_TOO_SHORT",
            Self::BreakerOpen => "BREAKER_OPEN",
            Self::NoEndpoints => "NO_ENDPOINTS",
            Self::Throttled => "THROTTLED",
            Self::BulkheadFull => "BULKHEAD_FULL",
            Self::Shed => "OVERLOADED",
            Self::RateLimited => "RATE_LIMITED",
            Self::Internal => "INTERNAL",
        }
    }

    fn status(self, pushback: Option<Pushback>) -> Status {
        let mut details = ErrorDetails::with_error_info(self.reason(), DOMAIN, []);
        if let Some(Pushback::After(delay)) = pushback {
            details.set_retry_info(Some(delay));
        }
        let mut status = Status::with_error_details(self.code(), self.to_string(), details);
        if let Some(pushback) = pushback {
            let value = MetadataValue::try_from(pushback_value(pushback).as_bytes())
                .expect("a number is a header's value");
            status.metadata_mut().insert(PUSHBACK, value);
        }
        status.set_source(Arc::new(self));
        status
    }
}

/// The answer to a call that has run out of time. Its effect is unknown.
pub fn deadline_exceeded() -> Status {
    Local::DeadlineExceeded.status(None)
}

/// The answer to a call that cannot be done in the time that is left, so that it was
/// not begun.
pub fn deadline_too_short() -> Status {
    Local::DeadlineTooShort.status(None)
}

/// The answer while a breaker is open for another `retry_after`.
pub fn breaker_open(retry_after: Duration) -> Status {
    Local::BreakerOpen.status(Some(Pushback::After(retry_after)))
}

/// The answer while a target has no endpoints.
pub fn no_endpoints() -> Status {
    Local::NoEndpoints.status(None)
}

/// The answer to what a client does not send because its peer refuses too much. The
/// caller must not make up for it with another attempt.
pub fn throttled() -> Status {
    Local::Throttled.status(Some(Pushback::Stop))
}

/// The answer when a bulkhead has no place left.
pub fn bulkhead_full() -> Status {
    Local::BulkheadFull.status(None)
}

/// The answer of a server that has too much to do. Another attempt would be more of it.
pub fn shed() -> Status {
    Local::Shed.status(Some(Pushback::Stop))
}

/// The answer to a caller that is over its own rate for another `retry_after`.
pub fn rate_limited(retry_after: Duration) -> Status {
    Local::RateLimited.status(Some(Pushback::After(retry_after)))
}

/// The answer to a call whose handler panicked: it says nothing, since it knows
/// nothing.
pub fn internal() -> Status {
    Local::Internal.status(None)
}

/// The value of [`PUSHBACK`]. It rounds up: early is what nobody should come.
pub fn pushback_value(pushback: Pushback) -> HeaderValue {
    match pushback {
        Pushback::Stop => HeaderValue::from_static("-1"),
        Pushback::After(delay) => {
            let millis = u64::try_from(delay.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
            HeaderValue::from(millis)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushback(status: &Status) -> Option<&str> {
        status.metadata().get(PUSHBACK).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn every_answer_says_why_for_programs_and_for_people() {
        let second = Duration::from_secs(1);
        for (status, code, reason) in [
            (deadline_exceeded(), Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
            (deadline_too_short(), Code::DeadlineExceeded, "DEADLINE_TOO_SHORT"),
            (breaker_open(second), Code::Unavailable, "BREAKER_OPEN"),
            (no_endpoints(), Code::Unavailable, "NO_ENDPOINTS"),
            (throttled(), Code::Unavailable, "THROTTLED"),
            (bulkhead_full(), Code::Unavailable, "BULKHEAD_FULL"),
            (shed(), Code::Unavailable, "OVERLOADED"),
            (rate_limited(second), Code::ResourceExhausted, "RATE_LIMITED"),
            (internal(), Code::Internal, "INTERNAL"),
        ] {
            let info = status.get_details_error_info().unwrap();

            assert_eq!(status.code(), code, "{reason}");
            assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason, "resilience"));
            assert_eq!(Local::of(&status).map(Local::reason), Some(reason));
            assert!(!status.message().is_empty());
        }
    }

    #[test]
    fn a_wait_is_said_to_every_kind_of_client_and_rounded_up() {
        for status in [
            breaker_open(Duration::from_micros(250_001)),
            rate_limited(Duration::from_micros(250_001)),
        ] {
            let info = status.get_details_retry_info().unwrap();

            assert_eq!(pushback(&status), Some("251"));
            assert_eq!(info.retry_delay, Some(Duration::from_micros(250_001)));
        }
    }

    #[test]
    fn the_overloaded_ask_for_no_other_attempt() {
        assert_eq!(pushback(&shed()), Some("-1"));
        assert_eq!(pushback(&throttled()), Some("-1"));
        assert_eq!(pushback(&deadline_exceeded()), None);
    }

    #[test]
    fn what_came_over_the_wire_is_not_local() {
        let response = shed().into_http::<()>();

        let status = Status::from_header_map(response.headers()).unwrap();

        assert_eq!(status.get_details_error_info().unwrap().reason, "OVERLOADED");
        assert_eq!(Local::of(&status), None);
        assert_eq!(Local::of(&Status::unavailable("somewhere else")), None);
    }
}
