//! Says when to stop, and knows when everyone has.
//!
//! A stop has two stages. First the process is *leaving*: it says that it is not
//! ready, and still answers, so that callers look away before the door closes.
//! After the leave time the stop is *requested*: listeners send GOAWAY, loops end,
//! and what is in flight is finished. [`Shutdown::finish`] waits for that.
//!
//! Signals are not here: the binary turns them into [`Shutdown::request`], and a
//! second one into an immediate exit.

mod ticks;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::ticks::Ticks;

/// Owns every background task of a process.
///
/// Cheap to clone; all clones are one. The default has no leave time, as suits
/// one process, which nobody balances over.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(Arc<State>);

#[derive(Debug, Default)]
struct State {
    leave: Duration,
    leaving: CancellationToken,
    requested: CancellationToken,
    tasks: TaskTracker,
    running: Mutex<BTreeMap<&'static str, usize>>,
    /// What the first failed task said.
    failure: Mutex<Option<String>>,
}

/// Counts a task as running for as long as its future exists.
struct Running {
    name: &'static str,
    state: Arc<State>,
}

impl Shutdown {
    /// `leave` is the time between "not ready" and the closing of the doors; a
    /// fleet needs about 5 s for its balancers to notice.
    pub fn new(leave: Duration) -> Self {
        Self(Arc::new(State { leave, ..State::default() }))
    }

    /// Runs `task` until it ends by itself, which it must do soon after
    /// [`Self::requested`].
    ///
    /// An error or a panic stops the process: it is logged, kept for
    /// [`Self::finish`], and requests the stop. The task inherits neither the
    /// deadline nor the trace of a call that spawns it, since it outlives the call.
    pub fn spawn(
        &self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let running = Running::new(name, Arc::clone(&self.0));
        let shutdown = self.clone();
        self.0.tasks.spawn(async move {
            let _running = running;
            tracing::debug!(task = name, "task started");
            match AssertUnwindSafe(task).catch_unwind().await {
                Ok(Ok(())) => tracing::debug!(task = name, "task ended"),
                Ok(Err(error)) => shutdown.fail(name, &format!("{error:#}")),
                Err(panic) => shutdown.fail(name, &said(panic.as_ref())),
            }
        });
    }

    /// Starts the stop. Only the first request does something.
    pub fn request(&self) {
        if self.is_leaving() {
            return;
        }
        self.0.leaving.cancel();

        let (leave, requested) = (self.0.leave, self.0.requested.clone());
        match Handle::try_current() {
            Ok(runtime) if !leave.is_zero() => {
                self.0.tasks.spawn_on(
                    async move {
                        tokio::time::sleep(leave).await;
                        requested.cancel();
                    },
                    &runtime,
                );
            }
            // Nothing to wait for, or nothing to wait with.
            _ => requested.cancel(),
        }
    }

    /// Ends when the process begins to leave: say "not ready", go on answering.
    pub fn leaving(&self) -> impl Future<Output = ()> + Send + Sync + 'static + use<> {
        self.0.leaving.clone().cancelled_owned()
    }

    /// Ends when tasks have to stop: take no new work, finish what is in flight.
    pub fn requested(&self) -> impl Future<Output = ()> + Send + Sync + 'static + use<> {
        self.0.requested.clone().cancelled_owned()
    }

    pub fn is_leaving(&self) -> bool {
        self.0.leaving.is_cancelled()
    }

    pub fn is_requested(&self) -> bool {
        self.0.requested.is_cancelled()
    }

    /// Whether a task failed, so that the process has to say so when it exits.
    pub fn failed(&self) -> bool {
        self.failure().is_some()
    }

    /// Waits until every task has ended, but no longer than `grace` after the
    /// stop was requested. It does not request the stop.
    ///
    /// Fails if a task failed, or names the tasks that are left.
    pub async fn finish(&self, grace: Duration) -> anyhow::Result<()> {
        self.0.tasks.close();
        let too_late = async {
            self.0.requested.cancelled().await;
            tokio::time::sleep(grace).await;
        };
        let late = tokio::select! {
            biased;
            () = self.0.tasks.wait() => None,
            () = too_late => Some(self.left()),
        };

        if let Some(failure) = self.failure().clone() {
            anyhow::bail!(failure);
        }
        if let Some(left) = late.filter(|left| !left.is_empty()) {
            let count = left.values().sum::<usize>();
            anyhow::bail!("{count} tasks did not end within {grace:?}: {}", listed(&left));
        }
        Ok(())
    }

    fn left(&self) -> BTreeMap<&'static str, usize> {
        self.0.running().clone()
    }

    fn failure(&self) -> MutexGuard<'_, Option<String>> {
        self.0.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, name: &'static str, error: &str) {
        tracing::error!(task = name, error, "task failed, stopping the process");
        self.failure().get_or_insert_with(|| format!("task {name} failed: {error}"));
        self.request();
    }
}

impl State {
    fn running(&self) -> MutexGuard<'_, BTreeMap<&'static str, usize>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    fn new(name: &'static str, state: Arc<State>) -> Self {
        *state.running().entry(name).or_default() += 1;
        Self { name, state }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut running = self.state.running();
        if let Some(count) = running.get_mut(self.name) {
            *count -= 1;
            if *count == 0 {
                running.remove(self.name);
            }
        }
    }
}

/// The text of a panic.
pub(crate) fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panicked: {}", text.as_deref().unwrap_or("without a message"))
}

fn listed(left: &BTreeMap<&'static str, usize>) -> String {
    let names = left.iter().map(|(name, count)| match count {
        1 => (*name).to_owned(),
        count => format!("{name} ({count} times)"),
    });
    names.collect::<Vec<_>>().join(", ")
}
