//! Forgets what the inbox no longer needs to know, and counts the dead letters.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use trellis_chassis::{Clock, Shutdown};
use trellis_storage::Error;
use trellis_telemetry::Metrics;

use super::meters;
use crate::dead_letter::DeadLetters;
use crate::inbox::Inbox;

/// How long an applied event is remembered: longer than an outbox keeps it, so
/// that whatever is sent again is recognised.
pub const RETENTION: Duration = Duration::from_hours(14 * 24);

/// How often dead letters are counted, and the inbox is purged.
const COUNT_INTERVAL: Duration = Duration::from_secs(10);
const PURGE_INTERVAL: Duration = Duration::from_hours(1);
/// How many rows one write removes; others need the database too.
const LIMIT: u32 = 1_000;

/// Purges the inbox every hour and counts the dead letters of `consumer` every ten
/// seconds, both at once for the first time, until a stop is requested.
pub async fn housekeeping(
    consumer: &'static str,
    inbox: Arc<dyn Inbox>,
    dead_letters: Arc<dyn DeadLetters>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let gauge = meters::dead_letters(consumer, &metrics);
    let mut next_purge = Instant::now();
    while !shutdown.is_requested() {
        match dead_letters.count(consumer).await {
            Ok(count) => gauge.set_count(count),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, "dead letters were not counted");
            }
        }
        if next_purge <= Instant::now() {
            next_purge = Instant::now() + PURGE_INTERVAL;
            if let Err(error) = purge(inbox.as_ref(), clock.as_ref(), &shutdown).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "inbox was not purged, the next hour will do");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(COUNT_INTERVAL) => {}
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
