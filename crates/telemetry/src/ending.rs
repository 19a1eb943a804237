//! Ending what may take its time.

use std::thread;
use std::time::Duration;

/// Waits for `end`, for `limit` at most; it goes on by itself after that.
pub(crate) async fn within(limit: Duration, end: impl FnOnce() + Send + 'static) {
    let (done, ended) = tokio::sync::oneshot::channel();
    // Not a task of the runtime, which would wait for it at its own end.
    let thread = thread::Builder::new().name("telemetry-stop".to_owned());
    let end = move || {
        end();
        // Nobody may wait any more.
        let _ = done.send(());
    };
    if thread.spawn(end).is_ok() {
        let _ = tokio::time::timeout(limit, ended).await;
    }
}
