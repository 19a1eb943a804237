//! Gives back what nobody came for.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use trellis_chassis::{Clock, Shutdown};

use crate::error::Error;
use crate::store::Store;

/// As many reservations as one unit of work gives back: other writers wait for it.
const BATCH: u32 = 500;

/// Sweeps at every tick until a stop is requested. A failed sweep is left to the next.
pub async fn run(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    every: Duration,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let mut ticks = shutdown.ticks(every);
    while ticks.next().await {
        match sweep(store.as_ref(), clock.now()).await {
            Ok(0) => {}
            Ok(expired) => tracing::info!(expired, "reservations expired"),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "lapsed reservations could not be expired"
                );
            }
        }
    }
    Ok(())
}

/// Expires every reservation that has lapsed by `now`, and says how many those were.
pub async fn sweep(store: &dyn Store, now: OffsetDateTime) -> Result<u32, Error> {
    let mut all = 0;
    loop {
        match store.expire(BATCH, now).await? {
            0 => return Ok(all),
            expired => all += expired,
        }
    }
}
