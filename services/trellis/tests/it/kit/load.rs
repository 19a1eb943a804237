//! Callers that go on calling while something happens to the shop.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Status;

/// A load on a shop, which goes on until it is ended.
pub(crate) struct Load {
    callers: JoinSet<Vec<Call>>,
    stop: watch::Sender<bool>,
    start: Instant,
}

/// One call of a load.
#[derive(Debug)]
pub(crate) struct Call {
    /// When it ended, counted from the start of the load.
    pub(crate) end: Duration,
    /// What went wrong.
    pub(crate) failure: Option<String>,
}

/// All calls of a load.
#[derive(Debug)]
pub(crate) struct Calls(pub(crate) Vec<Call>);

impl Load {
    /// Begins `callers` loops of `call`, with `pause` between two calls of one.
    pub(crate) fn start<F>(
        callers: usize,
        pause: Duration,
        call: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), Status>> + Send + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        let (start, call) = (Instant::now(), Arc::new(call));
        let mut set = JoinSet::new();
        for _ in 0..callers {
            let (call, mut stopped) = (Arc::clone(&call), stopped.clone());
            set.spawn(async move {
                let mut calls = Vec::new();
                while !*stopped.borrow() {
                    let failure = call().await.err();
                    calls.push(Call {
                        end: start.elapsed(),
                        failure: failure
                            .map(|status| format!("{:?} {}", status.code(), status.message())),
                    });
                    // Ends early when the load does.
                    let _ = tokio::time::timeout(pause, stopped.changed()).await;
                }
                calls
            });
        }
        Self { callers: set, stop, start }
    }

    /// How long it has been going on.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Ends it, after the calls that are out.
    pub(crate) async fn end(self) -> Calls {
        self.stop.send_replace(true);
        let mut calls: Vec<Call> = self.callers.join_all().await.into_iter().flatten().collect();
        calls.sort_by_key(|call| call.end);
        Calls(calls)
    }
}

impl Calls {
    /// Those that ended in this time of the load.
    pub(crate) fn between(&self, from: Duration, to: Duration) -> impl Iterator<Item = &Call> {
        self.0.iter().filter(move |call| from <= call.end && call.end < to)
    }

    pub(crate) fn failures(&self) -> Vec<&Call> {
        self.0.iter().filter(|call| call.failure.is_some()).collect()
    }

    /// The share of calls that went well, between 0 and 1.
    pub(crate) fn success(&self) -> f64 {
        assert!(!self.0.is_empty(), "nobody called");
        1.0 - share(self.failures().len(), self.0.len())
    }
}

#[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52 calls")]
pub(crate) fn share(part: usize, of: usize) -> f64 {
    part as f64 / of as f64
}
