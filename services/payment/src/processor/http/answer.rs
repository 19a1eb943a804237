//! What the processor's answers mean.
//!
//! The rule that matters: only what the processor itself has said definitely is
//! definite. A timeout, a lost connection, a rate limit, a conflict with a call
//! still running, a fault of the server or of a proxy is unknown.

use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::domain::{Code, Reference};
use crate::processor::{Authorization, Error};

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
    replayed: bool,
    body: &[u8],
) -> Result<Answer<T>, Error> {
    if status.is_success() {
        let done = serde_json::from_slice(body).map_err(Error::unknown)?;
        return Ok(Answer::Done(done));
    }
    let unknown = || Error::unknown(format_args!("HTTP status {status}"));
    match status {
        // Our key is wrong or may not do this: no payment's fault, and gone when
        // an operator has mended it.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            tracing::error!(%status, "the processor does not accept our key");
            Err(unknown())
        }
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::CONFLICT
        | StatusCode::TOO_EARLY
        | StatusCode::TOO_MANY_REQUESTS => Err(unknown()),
        // An error page that is not the processor's comes from something between.
        status if status.is_client_error() => match serde_json::from_slice(body) {
            Ok(Refused { error }) => Ok(Answer::Refused(error)),
            Err(_) => Err(unknown()),
        },
        status if status.is_server_error() && replayed => Ok(Answer::Spent),
        _ => Err(unknown()),
    }
}

impl Intent {
    /// What it says about the amount being blocked.
    pub(super) fn authorization(self) -> Result<Authorization, Error> {
        let code = match self.status {
            // A capture that nobody here knows of is found out by the next call.
            Status::RequiresCapture | Status::Succeeded => {
                return Ok(Authorization::Authorized(Reference::new(self.id)));
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
    use super::*;

    fn authorization(status: u16, body: &str) -> Result<Authorization, Error> {
        let status = StatusCode::from_u16(status).unwrap();
        match read::<Intent>(status, false, body.as_bytes())? {
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
}
