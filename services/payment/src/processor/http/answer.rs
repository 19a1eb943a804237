//! What the processor's answers mean.
//!
//! The rule that matters: only what the processor itself has said definitely is
//! definite. A timeout, a lost connection, a rate limit, a conflict with a call
//! still running, a fault of the server or of a proxy is unknown.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use trellis_resilience::outcome::FailureKind;

use crate::domain::{Code, Reference};
use crate::processor::{Authorization, Error};

/// Marks an answer that was given before, to the same key.
const REPLAYED: &str = "idempotent-replayed";

/// What an answer says.
pub(super) enum Answer<T> {
    Done(T),
    Refused(Problem),
    /// The first call with this key failed inside the processor, which repeats
    /// that for as long as it knows the key. Only a look can tell what it did.
    Spent,
}

/// A payment on the processor's side.
#[derive(Debug, Deserialize)]
pub(super) struct Intent {
    id: String,
    pub(super) status: Status,
    #[serde(default)]
    last_payment_error: Option<Problem>,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    RequiresCapture,
    RequiresPaymentMethod,
    RequiresConfirmation,
    RequiresAction,
    Processing,
    Succeeded,
    Canceled,
    #[serde(other)]
    Other,
}

/// Why a call was refused.
#[derive(Debug, Deserialize)]
pub(super) struct Problem {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    decline_code: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    /// What the call was about, when its state is the reason.
    #[serde(default)]
    payment_intent: Option<Box<Intent>>,
}

#[derive(Deserialize)]
struct Refused {
    error: Problem,
}

/// Reads a whole response.
pub(super) fn read<T: DeserializeOwned>(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Answer<T>, Error> {
    if status.is_success() {
        let done = serde_json::from_slice(body);
        return done.map(Answer::Done).map_err(|error| Error::failed(FailureKind::Protocol, error));
    }
    let replayed = headers.get(REPLAYED).is_some_and(|value| value == "true");
    match status {
        // An error page that is not the processor's comes from something between.
        status if is_definite(status) => match serde_json::from_slice(body) {
            Ok(Refused { error }) => Ok(Answer::Refused(error)),
            Err(_) => Err(Error::failed(FailureKind::Protocol, said(status))),
        },
        status if status.is_server_error() && replayed => Ok(Answer::Spent),
        _ => Err(indefinite(status).with_retry_after(retry_after(headers))),
    }
}

/// Whether a status with an explanation is the processor's last word.
fn is_definite(status: StatusCode) -> bool {
    let is_about_now = matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::CONFLICT
            | StatusCode::TOO_EARLY
            | StatusCode::TOO_MANY_REQUESTS
    );
    status.is_client_error() && !is_about_now
}

/// What any other status says about the processor.
fn indefinite(status: StatusCode) -> Error {
    let why = said(status);
    match status {
        // Our key is wrong or may not do this: no payment's fault, and gone when an
        // operator has mended it. The processor is well, so no breaker has to hide it.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            tracing::error!(%status, "the processor does not accept our key");
            Error::unknown(why)
        }
        // It is at work on the same key, or wants to hear it again: it is there.
        StatusCode::CONFLICT | StatusCode::TOO_EARLY => Error::unknown(why),
        StatusCode::TOO_MANY_REQUESTS => Error::busy(why),
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => {
            Error::failed(FailureKind::Timeout, why)
        }
        StatusCode::SERVICE_UNAVAILABLE => Error::failed(FailureKind::Overload, why),
        status if status.is_server_error() => Error::failed(FailureKind::Server, why),
        _ => Error::failed(FailureKind::Protocol, why),
    }
}

fn said(status: StatusCode) -> String {
    format!("HTTP status {status}")
}

/// `Retry-After` in seconds. The other form, a date, is left out: it would have to be held
/// against a clock that is not ours.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?;
    let is_number = seconds.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| seconds.parse().ok()).flatten().map(Duration::from_secs)
}

impl Intent {
    /// What it says about the amount being blocked.
    pub(super) fn authorization(self) -> Result<Authorization, Error> {
        let code = match self.status {
            // A capture that nobody here knows of is found out by the next call.
            Status::RequiresCapture | Status::Succeeded => {
                let reference: Result<Reference, _> = self.id.parse();
                return match reference {
                    Ok(reference) => Ok(Authorization::Authorized(reference)),
                    Err(error) => Err(Error::failed(FailureKind::Protocol, error)),
                };
            }
            Status::RequiresPaymentMethod => {
                self.last_payment_error.map_or(Code::new("card_declined"), |error| error.code())
            }
            Status::RequiresAction => Code::new("authentication_required"),
            Status::Canceled => Code::new("canceled"),
            Status::Processing | Status::RequiresConfirmation | Status::Other => {
                return Err(self.unexpected());
            }
        };
        Ok(Authorization::Declined(code))
    }

    pub(super) fn unexpected(&self) -> Error {
        Error::unknown(format_args!("the payment intent is {:?}", self.status))
    }
}

impl Problem {
    /// The most telling of its names.
    pub(super) fn code(&self) -> Code {
        let names = [&self.decline_code, &self.code, &self.kind];
        Code::new(names.into_iter().flatten().next().map_or("", String::as_str))
    }

    pub(super) fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// Whether the refusal comes from the payment being in this state already.
    pub(super) fn finds(&self, status: Status) -> bool {
        self.payment_intent.as_ref().is_some_and(|intent| intent.status == status)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use trellis_resilience::outcome::Health;

    use super::*;

    fn authorization(status: u16, body: &str) -> Result<Authorization, Error> {
        let status = StatusCode::from_u16(status).unwrap();
        match read::<Intent>(status, &HeaderMap::new(), body.as_bytes())? {
            Answer::Done(intent) => intent.authorization(),
            Answer::Refused(problem) => Ok(Authorization::Declined(problem.code())),
            Answer::Spent => panic!("nothing was replayed"),
        }
    }

    #[test]
    fn only_what_the_processor_has_said_is_definite() {
        for status in [100, 302, 401, 403, 408, 409, 425, 429, 500, 502, 503, 504] {
            let body = r#"{"error": {"code": "card_declined"}}"#;
            assert!(matches!(authorization(status, body), Err(Error::Unknown(_))), "{status}");
        }
        for (status, body) in [
            (200, ""),
            (200, "<html>"),
            (200, r#"{"id": "pi_1", "status": "processing"}"#),
            (200, r#"{"id": "pi_1", "status": "of_a_later_version"}"#),
            (200, r#"{"id": "pi_\u0000", "status": "requires_capture"}"#),
            (404, "<html>no such host</html>"),
        ] {
            assert!(matches!(authorization(status, body), Err(Error::Unknown(_))), "{body}");
        }
    }

    #[test]
    fn a_refusal_is_named_by_what_says_most() {
        for (status, body, code) in [
            (
                402,
                r#"{"error": {"code": "card_declined", "decline_code": "lost_card"}}"#,
                "lost_card",
            ),
            (402, r#"{"error": {"code": "expired_card", "type": "card_error"}}"#, "expired_card"),
            (400, r#"{"error": {"type": "invalid_request_error"}}"#, "invalid_request_error"),
            (200, r#"{"id": "pi_1", "status": "requires_action"}"#, "authentication_required"),
            (200, r#"{"id": "pi_1", "status": "requires_payment_method"}"#, "card_declined"),
        ] {
            let answer = authorization(status, body).unwrap();
            assert_eq!(answer, Authorization::Declined(Code::new(code)), "{body}");
        }
    }

    #[test]
    fn a_status_says_how_the_processor_is() {
        use FailureKind::{Overload, Protocol, Server, Timeout};
        use Health::{Degraded, Failure, Success};

        let body = br#"{"error": {"code": "card_declined"}}"#;
        for (status, health) in [
            (302, Failure(Protocol)),
            (401, Success),
            (403, Success),
            (408, Failure(Timeout)),
            (409, Success),
            (425, Success),
            (429, Degraded),
            (500, Failure(Server)),
            (502, Failure(Server)),
            (503, Failure(Overload)),
            (504, Failure(Timeout)),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let error = read::<Intent>(status, &HeaderMap::new(), body).err().unwrap();
            assert_eq!(error.verdict().health, health, "{status}");
        }
        let page = read::<Intent>(StatusCode::NOT_FOUND, &HeaderMap::new(), b"<html>");
        assert_eq!(page.err().unwrap().verdict().health, Failure(Protocol));
    }

    #[test]
    fn a_wait_is_taken_in_seconds_and_only_from_what_is_not_definite() {
        let wait = |status: u16, value: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            let status = StatusCode::from_u16(status).unwrap();
            read::<Intent>(status, &headers, b"{}").err().unwrap().retry_after()
        };

        assert_eq!(wait(429, "7"), Some(Duration::from_secs(7)));
        assert_eq!(wait(503, "120"), Some(Duration::from_mins(2)));
        for odd in ["", "-1", "+1", "1.5", "Fri, 31 Dec 1999 23:59:59 GMT", "99999999999999999999"]
        {
            assert_eq!(wait(503, odd), None, "{odd}");
        }
        assert_eq!(wait(400, "7"), None);
    }
}
