//! Ctrl-C, which people press when they have seen enough.

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Waits for all tasks, and says whether Ctrl-C came.
///
/// The first Ctrl-C asks the tasks to `stop`, which they do after what they have in
/// hand. The second abandons that. The first error abandons everything.
pub(crate) async fn finish(
    tasks: &mut JoinSet<anyhow::Result<()>>,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let mut interrupted = false;
    loop {
        tokio::select! {
            ended = tasks.join_next() => match ended {
                Some(ended) => ended.context("a task failed")??,
                None => return Ok(interrupted),
            },
            _ = interrupt.recv() => {
                if interrupted {
                    tasks.shutdown().await;
                    return Ok(true);
                }
                tracing::warn!("finishing what is in flight; Ctrl-C again leaves it");
                interrupted = true;
                stop.cancel();
            }
        }
    }
}
