//! Forgets what callers were promised to be remembered for a while.

use std::sync::Arc;

use time::OffsetDateTime;
use trellis_chassis::{Clock, Shutdown};

use crate::error::Error;
use crate::store::Store;

/// How long a request id keeps its answer: over a bad bug on a Friday.
const KEPT: time::Duration = time::Duration::hours(72);
const EVERY: std::time::Duration = std::time::Duration::from_hours(1);

/// Purges every hour until a stop is requested. A failed purge is left to the next.
pub(crate) async fn run(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let mut ticks = shutdown.ticks(EVERY);
    while ticks.next().await {
        if let Err(error) = purge(store.as_ref(), clock.now()).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "old requests could not be purged"
            );
        }
    }
    Ok(())
}

async fn purge(store: &dyn Store, now: OffsetDateTime) -> Result<(), Error> {
    while store.purge_requests(now - KEPT).await? > 0 {}
    Ok(())
}
