//! Takes up sagas that are due and that nobody works on: those that were
//! postponed, and those whose process died.

use std::time::Duration;

use anyhow::Context as _;

use crate::runner::Runner;
use crate::store::Store;

/// How many are claimed at once, so that other processes find some too.
const BATCH: usize = 32;

/// Lets go of what an earlier process held, so that its orders need not wait.
pub(crate) async fn free_orphans(store: &dyn Store) -> anyhow::Result<()> {
    let freed = store.free_orphans().await.context("cannot take up the sagas left behind")?;
    tracing::info!(freed, "sagas of an earlier process freed");
    Ok(())
}

/// Looks every `interval`, give or take a half so that processes do not look
/// all at once, until a stop is requested.
pub(crate) async fn run(runner: Runner, interval: Duration) -> anyhow::Result<()> {
    let shutdown = runner.shutdown().clone();
    while !shutdown.is_requested() {
        if let Err(error) = runner.count_backlog().await {
            tracing::debug!(error = &error as &dyn std::error::Error, "sagas were not counted");
        }
        let taken = match runner.take_over(BATCH).await {
            Ok(taken) => taken,
            // A store that is down comes back, or its other callers say so.
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "sagas that are due were not taken up");
                0
            }
        };
        if taken == BATCH {
            continue;
        }
        let pause = interval.mul_f64(rand::random_range(0.5..=1.5));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.requested() => {}
        }
    }
    Ok(())
}
