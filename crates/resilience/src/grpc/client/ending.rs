//! How attempts fail, and what their caller gets to see of it.

use std::error::Error as _;
use std::sync::Arc;

use http::Response;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::meter::Origin;
use super::peer::BoxError;
use crate::core::outcome::{FailureKind, Verdict};
use crate::grpc::classify::{self, Answer};
use crate::grpc::status::{self, DOMAIN, Local};
use crate::net::SendError;

/// What a call is answered with.
pub(super) type Ending = Result<Response<Body>, Status>;

/// An attempt that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) verdict: Verdict,
    pub(super) code: Code,
    pub(super) origin: Origin,
    pub(super) ending: Ending,
}

impl Failure {
    /// What the peer said is handed on as it is.
    pub(super) fn answered(answer: Answer, response: Response<Body>) -> Self {
        let Answer { code, verdict } = answer;
        Self { verdict, code, origin: Origin::Remote, ending: Ok(response) }
    }

    pub(super) fn timed_out(verdict: Verdict) -> Self {
        Self::local(verdict, status::deadline_exceeded())
    }

    pub(super) fn lost(error: SendError) -> Self {
        match error.source.downcast::<Status>() {
            Ok(status) => Self::said(*status, error.kind),
            Err(source) => Self::unknown(SendError { kind: error.kind, source }),
        }
    }

    /// A service may answer with a status in the place of a response.
    fn said(status: Status, kind: FailureKind) -> Self {
        if Local::of(&status).is_some() {
            // It was decided in this process, by another client for instance.
            return Self::local(Verdict::IGNORE, status);
        }
        if status.source().is_some() {
            return Self::unknown(SendError { kind, source: Box::new(status) });
        }
        let Answer { code, verdict } = classify::status(&status);
        Self { verdict, code, origin: Origin::Remote, ending: Err(status) }
    }

    fn unknown(error: SendError) -> Self {
        Self::local(classify::lost(error.kind), status_of(error))
    }

    fn local(verdict: Verdict, status: Status) -> Self {
        Self { verdict, code: status.code(), origin: Origin::Local, ending: Err(status) }
    }
}

/// An error of a service or of its response, as one of the way to it.
pub(super) fn lost(error: impl Into<BoxError>) -> SendError {
    let source = error.into();
    match source.downcast::<SendError>() {
        Ok(error) => *error,
        Err(source) => SendError { kind: classify::kind_of(source.as_ref()), source },
    }
}

/// It has the error as its source, so that a caller can find out whether the peer may
/// have processed the call.
fn status_of(error: SendError) -> Status {
    let (code, reason) = match error.kind {
        FailureKind::Unsent => (Code::Unavailable, "UNSENT"),
        FailureKind::Timeout => (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
        _ => (Code::Unavailable, "CONNECTION_LOST"),
    };
    let details = ErrorDetails::with_error_info(reason, DOMAIN, []);
    let mut status = Status::with_error_details(code, error.to_string(), details);
    status.set_source(Arc::new(error));
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::outcome::{Health, RetrySafety};

    fn status(failure: Failure) -> Status {
        failure.ending.unwrap_err()
    }

    #[test]
    fn a_lost_connection_is_unavailable_and_says_what_is_known_of_the_call() {
        for (kind, retry) in [
            (FailureKind::Unsent, RetrySafety::Always),
            (FailureKind::ConnectionLost, RetrySafety::IfIdempotent),
        ] {
            let failure = Failure::lost(SendError { kind, source: "gone".into() });
            assert_eq!(failure.verdict, Verdict::failure(kind, retry));

            let status = status(failure);
            let source = status.source().unwrap().downcast_ref::<SendError>().unwrap();
            assert_eq!((status.code(), source.kind), (Code::Unavailable, kind));
        }
    }

    #[test]
    fn a_timeout_of_someone_below_is_a_timeout() {
        let failure = Failure::lost(lost(tonic::TimeoutExpired(())));

        assert_eq!(failure.verdict.health, Health::Failure(FailureKind::Timeout));
        assert_eq!(status(failure).code(), Code::DeadlineExceeded);
    }

    #[test]
    fn a_status_in_the_place_of_a_response_is_the_answer() {
        let failure = Failure::lost(lost(Status::not_found("no such thing")));

        assert_eq!(failure.verdict, Verdict::SUCCESS);
        assert_eq!(status(failure).code(), Code::NotFound);
    }

    #[test]
    fn what_another_client_refused_says_nothing_about_the_peer() {
        let failure = Failure::lost(lost(status::throttled()));

        assert_eq!(failure.verdict, Verdict::IGNORE);
        assert_eq!(status(failure).code(), Code::Unavailable);
    }
}
