//! The tasks behind connections and name resolution.

use tokio::task::JoinHandle;

/// Runs `task` beside its owner. Dropping the handle does not end it: whoever spawns
/// says how it ends, and it ends at the latest when its owner is gone.
#[expect(
    clippy::disallowed_methods,
    reason = "a library has no shutdown of its own: each task here ends with its owner"
)]
pub(super) fn spawn<T>(task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T>
where
    T: Send + 'static,
{
    tokio::spawn(task)
}
