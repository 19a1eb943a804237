//! How a call ended, for its span and for the log.

use http::{HeaderMap, StatusCode};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tracing::Span;
use trellis_resilience::grpc::code::name;

use super::Call;

/// How a call of gRPC ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    code: Code,
    /// That of `google.rpc.ErrorInfo`.
    reason: Option<String>,
}

/// What is known of the end of a call.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It has not come, or did not say.
    Unknown,
    Grpc(Cause),
    /// And of the call of gRPC that it became, if that failed.
    Http(StatusCode, Option<Cause>),
}

const STATUS: &str = "grpc-status";
const DETAILS: &str = "grpc-status-details-bin";

/// What headers or trailers say; `None` if they do not say how the call ended.
pub(crate) fn code(headers: &HeaderMap) -> Option<Code> {
    Some(Code::from_bytes(headers.get(STATUS)?.as_bytes()))
}

impl Cause {
    /// Goes with an answer of HTTP as an extension, which has no other place for it.
    pub fn of(status: &Status) -> Self {
        Self { code: status.code(), reason: reason(status) }
    }

    /// `None` if the headers do not say how the call ended. The reason is looked for
    /// only if somebody wants it.
    pub(super) fn said(headers: &HeaderMap, wants_reason: bool) -> Option<Self> {
        let code = code(headers)?;
        let has_reason = wants_reason && code != Code::Ok;
        Some(Self { code, reason: if has_reason { detailed_reason(headers, code) } else { None } })
    }

    pub(super) fn cancelled() -> Self {
        Self { code: Code::Cancelled, reason: None }
    }

    pub(super) fn unknown() -> Self {
        Self { code: Code::Unknown, reason: None }
    }

    pub(super) fn code(&self) -> Code {
        self.code
    }
}

impl Outcome {
    pub(super) fn record(&self, span: &Span) {
        match self {
            Self::Unknown => {}
            Self::Grpc(Cause { code, .. }) => {
                span.record("rpc.response.status_code", name(*code));
                if is_fault(*code) {
                    span.record("error.type", name(*code));
                    span.record("otel.status_code", "ERROR");
                }
            }
            Self::Http(status, _) => {
                span.record("http.response.status_code", status.as_u16());
                if status.is_server_error() {
                    span.record("error.type", status.as_str());
                    span.record("otel.status_code", "ERROR");
                }
            }
        }
    }

    /// What was called is said here, since a call in a trace that is not sampled has no
    /// span that could.
    pub(super) fn log(&self, call: &Call, duration_ms: f64) {
        match call {
            Call::Grpc(path, _) => self.log_grpc(Call::rpc_method(path.as_ref()), duration_ms),
            Call::Http(method, matched) => {
                self.log_http(method.as_str(), matched.get(), duration_ms);
            }
        }
    }

    fn log_grpc(&self, method: &str, duration_ms: f64) {
        let (code, reason) = self.cause();
        tracing::info!(rpc.method = method, code, reason, duration_ms, "served");
    }

    fn log_http(&self, method: &str, route: Option<&str>, duration_ms: f64) {
        let status = match self {
            Self::Http(status, _) => Some(status.as_u16()),
            Self::Unknown | Self::Grpc(_) => None,
        };
        let (code, reason) = self.cause();
        tracing::info!(
            http.request.method = method,
            http.route = route,
            status,
            code,
            reason,
            duration_ms,
            "served"
        );
    }

    /// The code of gRPC and the reason, as far as they are known.
    fn cause(&self) -> (Option<&'static str>, Option<&str>) {
        match self {
            Self::Grpc(cause) | Self::Http(_, Some(cause)) => {
                (Some(name(cause.code)), cause.reason.as_deref())
            }
            Self::Unknown | Self::Http(_, None) => (None, None),
        }
    }
}

fn detailed_reason(headers: &HeaderMap, code: Code) -> Option<String> {
    let details = headers.get(DETAILS)?;
    let only = HeaderMap::from_iter([(http::HeaderName::from_static(DETAILS), details.clone())]);
    let details = MetadataMap::from_headers(only).get_bin(DETAILS)?.to_bytes().ok()?;
    reason(&Status::with_details(code, "", details))
}

/// What it says is checked, as it comes from a handler and its peers: what goes into the
/// log is a word of ours, and nothing that a customer typed.
fn reason(status: &Status) -> Option<String> {
    let info = status.get_details_error_info()?;
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

    fn failed(reason: &str) -> Status {
        let details = ErrorDetails::with_error_info(reason, "test", []);
        Status::with_error_details(Code::NotFound, "it is gone", details)
    }

    fn said(headers: &HeaderMap) -> Cause {
        Cause::said(headers, true).unwrap()
    }

    #[test]
    fn the_reason_is_that_of_the_error_info_if_it_is_a_word() {
        let known = failed("PRODUCT_NOT_FOUND");
        let cause = Cause { code: Code::NotFound, reason: Some("PRODUCT_NOT_FOUND".to_owned()) };
        assert_eq!(Cause::of(&known), cause);
        assert_eq!(said(known.into_http::<()>().headers()), cause);

        let typed = failed("ada@example.com is not known");
        assert_eq!(Cause::of(&typed).reason, None);
        assert_eq!(said(typed.into_http::<()>().headers()).reason, None);
    }

    #[test]
    fn malformed_details_have_no_reason_and_hurt_nobody() {
        for details in ["", "%%%", "AAAA", "////"] {
            let headers = [(STATUS, "5"), (DETAILS, details)];
            let headers =
                headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));

            let cause = said(&HeaderMap::from_iter(headers));

            assert_eq!(cause, Cause { code: Code::NotFound, reason: None }, "{details}");
        }
    }

    #[test]
    fn headers_without_a_status_say_nothing_yet() {
        assert_eq!(Cause::said(&HeaderMap::new(), true), None);
    }
}
