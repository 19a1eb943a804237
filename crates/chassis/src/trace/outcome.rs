//! How a call ended, for its span and for the log.

use http::{HeaderMap, StatusCode};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tracing::Span;
use trellis_resilience::grpc::code::name;

/// What is known of the end of a call.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It has not come, or did not say.
    Unknown,
    Grpc {
        code: Code,
        /// That of `google.rpc.ErrorInfo`.
        reason: Option<String>,
    },
    Http(StatusCode),
}

const STATUS: &str = "grpc-status";
const DETAILS: &str = "grpc-status-details-bin";

impl Outcome {
    /// `None` if the headers do not say how the call ended.
    pub(super) fn grpc(headers: &HeaderMap) -> Option<Self> {
        let code = Code::from_bytes(headers.get(STATUS)?.as_bytes());
        let reason = if code == Code::Ok { None } else { reason(headers, code) };
        Some(Self::Grpc { code, reason })
    }

    pub(super) fn record(&self, span: &Span) {
        match self {
            Self::Unknown => {}
            Self::Grpc { code, .. } => {
                span.record("rpc.response.status_code", name(*code));
                if is_fault(*code) {
                    span.record("error.type", name(*code));
                    span.record("otel.status_code", "ERROR");
                }
            }
            Self::Http(status) => {
                span.record("http.response.status_code", status.as_u16());
                if status.is_server_error() {
                    span.record("error.type", status.as_str());
                    span.record("otel.status_code", "ERROR");
                }
            }
        }
    }

    pub(super) fn log(&self, duration_ms: f64) {
        match self {
            Self::Unknown => tracing::info!(duration_ms, "served"),
            Self::Grpc { code, reason } => {
                tracing::info!(code = name(*code), reason, duration_ms, "served");
            }
            Self::Http(status) => {
                tracing::info!(status = status.as_u16(), duration_ms, "served");
            }
        }
    }
}

/// What it says is checked, as it comes from a handler and its peers: what goes into the
/// log is a word of ours, and nothing that a customer typed.
fn reason(headers: &HeaderMap, code: Code) -> Option<String> {
    let details = headers.get(DETAILS)?;
    let only = HeaderMap::from_iter([(http::HeaderName::from_static(DETAILS), details.clone())]);
    let details = MetadataMap::from_headers(only).get_bin(DETAILS)?.to_bytes().ok()?;
    let info = Status::with_details(code, "", details).get_details_error_info()?;
    let is_word = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    Some(info.reason).filter(|reason| reason.chars().all(is_word))
}

/// The codes that are a server's own fault, by OpenTelemetry's conventions for gRPC.
fn is_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    fn said(reason: &str) -> Outcome {
        let details = ErrorDetails::with_error_info(reason, "test", []);
        let status = Status::with_error_details(Code::NotFound, "it is gone", details);
        Outcome::grpc(status.into_http::<()>().headers()).unwrap()
    }

    #[test]
    fn the_reason_is_that_of_the_error_info_if_it_is_a_word() {
        let reason = |outcome| match outcome {
            Outcome::Grpc { code: Code::NotFound, reason } => reason,
            other => panic!("{other:?}"),
        };

        assert_eq!(reason(said("PRODUCT_NOT_FOUND")).as_deref(), Some("PRODUCT_NOT_FOUND"));
        assert_eq!(reason(said("ada@example.com is not known")), None);
    }

    #[test]
    fn malformed_details_have_no_reason_and_hurt_nobody() {
        for details in ["", "%%%", "AAAA", "////"] {
            let headers = [(STATUS, "5"), (DETAILS, details)];
            let headers =
                headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            let outcome = Outcome::grpc(&HeaderMap::from_iter(headers));

            let is_plain =
                matches!(outcome, Some(Outcome::Grpc { code: Code::NotFound, reason: None }));
            assert!(is_plain, "{details}: {outcome:?}");
        }
    }

    #[test]
    fn headers_without_a_status_say_nothing_yet() {
        assert!(Outcome::grpc(&HeaderMap::new()).is_none());
    }
}
