//! What the log says of an outbox that fails.

use trellis_storage::Error;

/// Logs when the outbox begins to fail and when it ends, not each time between.
pub(super) fn report(failures: &mut u32, error: Option<&Error>) {
    match error {
        Some(error) => {
            if *failures == 0 {
                tracing::error!(error = error as &dyn std::error::Error, "outbox failed");
            }
            *failures = failures.saturating_add(1);
        }
        None if 0 < *failures => {
            tracing::info!(failures, "outbox works again");
            *failures = 0;
        }
        None => {}
    }
}
