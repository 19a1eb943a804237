//! What the test tokens do.
//!
//! | token | authorization | capture |
//! |---|---|---|
//! | `tok_ok` | at once | at once |
//! | `tok_slow` | after 3 s | at once |
//! | `tok_unknown_once` | takes effect, the answer is lost once | at once |
//! | `tok_unknown_once_declined` | `card_declined`, the answer is lost once | |
//! | `tok_capture_fails` | at once | refused, `authorization_expired` |
//! | `tok_capture_unknown_once` | at once | takes effect, the answer is lost once |
//! | `tok_declined` | `card_declined` | |
//! | `tok_insufficient_funds` | `insufficient_funds` | |
//! | `tok_expired_card` | `expired_card` | |
//! | any other | `invalid_token` | |

use std::time::Duration;

use crate::processor::Error;

const SLOW: Duration = Duration::from_secs(3);

pub(super) fn decline_code(token: &str) -> Option<&'static str> {
    match token {
        "tok_ok"
        | "tok_slow"
        | "tok_unknown_once"
        | "tok_capture_fails"
        | "tok_capture_unknown_once" => None,
        "tok_declined" | "tok_unknown_once_declined" => Some("card_declined"),
        "tok_insufficient_funds" => Some("insufficient_funds"),
        "tok_expired_card" => Some("expired_card"),
        _ => Some("invalid_token"),
    }
}

pub(super) fn capture_refusal(token: &str) -> Option<&'static str> {
    (token == "tok_capture_fails").then_some("authorization_expired")
}

/// Gives the first answer to an authorization; what comes later is not played with.
pub(super) async fn answer_authorization(token: &str) -> Result<(), Error> {
    match token {
        "tok_slow" => {
            tokio::time::sleep(SLOW).await;
            Ok(())
        }
        "tok_unknown_once" | "tok_unknown_once_declined" => Err(lost()),
        _ => Ok(()),
    }
}

/// Gives the first answer to a capture.
pub(super) fn answer_capture(token: &str) -> Result<(), Error> {
    if token == "tok_capture_unknown_once" { Err(lost()) } else { Ok(()) }
}

/// A token plays with its own payment. That says nothing about the payments of others, so
/// however many such tokens come, the processor does not count as down.
fn lost() -> Error {
    Error::ignored("the answer was lost, as the test token asks")
}
