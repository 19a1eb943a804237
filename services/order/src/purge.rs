//! Forgets what requests were answered, once nobody repeats them any more.
//!
//! An order itself remembers its request for ever, so a repetition that comes
//! even later finds the order as it is then, and never makes a second one.

use std::sync::Arc;
use std::time::Duration;

use trellis_chassis::{Clock, Shutdown};
use trellis_storage::Error;

use crate::store::Store;

/// How long a repetition gets the first answer.
const KEPT: Duration = Duration::from_hours(72);
const EVERY: Duration = Duration::from_mins(10);

pub(crate) async fn run(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let mut ticks = shutdown.ticks(EVERY);
    while ticks.next().await {
        // A store that is down comes back, or its other callers say so.
        if let Err(error) = purge(&*store, &*clock, &shutdown).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "old idempotency records were not purged");
        }
    }
    Ok(())
}

async fn purge(store: &dyn Store, clock: &dyn Clock, shutdown: &Shutdown) -> Result<(), Error> {
    let before = clock.now() - KEPT;
    while !shutdown.is_requested() && 0 < store.purge(before).await? {}
    Ok(())
}
