//! Forgets what the inbox no longer needs to know.

use std::sync::Arc;
use std::time::Duration;

use trellis_chassis::{Clock, Shutdown};
use trellis_storage::Error;

use crate::inbox::Inbox;

/// How long an applied event is remembered: longer than an outbox keeps it, so
/// that whatever is sent again is recognised.
pub const RETENTION: Duration = Duration::from_hours(14 * 24);

const INTERVAL: Duration = Duration::from_hours(1);
/// How many rows one write removes; others need the database too.
const LIMIT: u32 = 1_000;

/// Purges the inbox, now and every hour, until a stop is requested.
pub async fn housekeeping(
    inbox: Arc<dyn Inbox>,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    while !shutdown.is_requested() {
        if let Err(error) = purge(inbox.as_ref(), clock.as_ref(), &shutdown).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "inbox was not purged, the next hour will do");
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = shutdown.requested() => {}
        }
    }
    Ok(())
}

async fn purge(inbox: &dyn Inbox, clock: &dyn Clock, shutdown: &Shutdown) -> Result<(), Error> {
    let before = clock.now() - RETENTION;
    while !shutdown.is_requested() && 0 < inbox.purge(before, LIMIT).await? {}
    Ok(())
}
