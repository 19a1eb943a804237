//! One attempt to apply one event.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::timeout;
use trellis_chassis::deadline;

use super::{Failure, Handler};
use crate::Event;

/// How long a handler may take if its caller has the time.
const PATIENCE: Duration = Duration::from_secs(4);
/// How much of an error is kept, in bytes.
const MAX_ERROR: usize = 1_000;

/// Calls the handler; whatever happens in there concerns this event only.
pub(super) async fn attempt(handler: &dyn Handler, event: &Event) -> Result<(), Failure> {
    let patience = patience();
    let attempt = AssertUnwindSafe(handler.handle(event)).catch_unwind();
    match timeout(patience, attempt).await {
        Ok(Ok(result)) => result.map_err(shorten),
        Ok(Err(panic)) => {
            let said = said(panic.as_ref());
            tracing::error!(
                event_id = event.event_id,
                kind = event.r#type,
                said,
                "handler panicked"
            );
            Err(shorten(Failure::Transient(format!("panicked: {said}"))))
        }
        Err(_) => Err(Failure::Transient(format!("took longer than {} ms", patience.as_millis()))),
    }
}

/// Leaves the caller time to hear of the others: if one slow event used up the
/// call, it would take the whole batch with it, each time.
fn patience() -> Duration {
    deadline::remaining().map_or(PATIENCE, |left| PATIENCE.min(left / 4 * 3))
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref().copied()).unwrap_or("something that is not a text")
}

fn shorten(failure: Failure) -> Failure {
    match failure {
        Failure::Permanent(error) => Failure::Permanent(cut(error)),
        Failure::Transient(error) => Failure::Transient(cut(error)),
        Failure::Away(error) => Failure::Away(cut(error)),
    }
}

fn cut(mut error: String) -> String {
    error.truncate(error.floor_char_boundary(MAX_ERROR));
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_error_is_cut_between_letters() {
        let error = cut("ä".repeat(MAX_ERROR));
        assert_eq!(error, "ä".repeat(MAX_ERROR / 2));
    }
}
