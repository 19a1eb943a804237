//! Asks again and again.

#[cfg(test)]
mod tests;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::{Resolve, ResolveError, Resolved};
use crate::core::backoff::{Backoff, Jitter};
use crate::core::environment::Environment;
use crate::core::random::Random;
use crate::net::causes::chain;
use crate::net::{Address, task};
use crate::observe::{Event, Listener};

/// Two questions are never closer together.
const APART: Duration = Duration::from_secs(5);

/// A resolver that takes longer than this has failed.
const LIMIT: Duration = Duration::from_secs(15);

/// From 5..10 s after the first failure to 15..30 s.
const AFTER_FAILURE: Backoff =
    Backoff { base: Duration::from_secs(10), cap: Duration::from_secs(30), jitter: Jitter::Equal };

/// The addresses of a target, as they change.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Sorted, without repetitions, and never empty. `None` until they are known.
    ///
    /// Nobody asks for them any more when the last receiver is gone.
    pub addresses: watch::Receiver<Option<Arc<[Address]>>>,
    /// Asks for fresh addresses before it is time.
    pub refresh: Refresh,
}

/// Asks for fresh addresses.
#[derive(Clone, Debug)]
pub struct Refresh(Arc<Notify>);

/// Tells another listener everything, and asks for fresh addresses at each loss.
#[derive(Debug)]
struct OnLoss {
    refresh: Refresh,
    listener: Arc<dyn Listener>,
}

struct Watcher {
    resolver: Arc<dyn Resolve>,
    target: Arc<str>,
    listener: Arc<dyn Listener>,
    random: Arc<Random>,
    addresses: watch::Sender<Option<Arc<[Address]>>>,
    /// In a row.
    failures: u32,
}

/// Resolves now, then again whenever the answer is out of date (give or take a fifth,
/// so that not everyone asks at once), and some seconds after a failure. An answer
/// that fails or is empty changes nothing, and is told once until there is a good one.
///
/// The task behind it ends when all receivers are gone.
pub fn watch(resolver: Arc<dyn Resolve>, environment: &Environment, target: Arc<str>) -> Watched {
    let (sender, addresses) = watch::channel(None);
    let refresh = Refresh(Arc::default());
    let watcher = Watcher {
        resolver,
        target,
        listener: Arc::clone(&environment.listener),
        random: Arc::clone(&environment.random),
        addresses: sender.clone(),
        failures: 0,
    };
    let hints = Arc::clone(&refresh.0);
    task::spawn(async move {
        tokio::select! {
            () = sender.closed() => {}
            () = watcher.run(&hints) => {}
        }
    });
    Watched { addresses, refresh }
}

impl Refresh {
    /// Says that the addresses may be out of date. They are asked for soon, though not
    /// within five seconds of the last time.
    pub fn hint(&self) {
        self.0.notify_one();
    }

    /// A listener that tells `listener` everything, and hints when an endpoint is
    /// lost: it may have moved.
    pub fn on_loss(&self, listener: Arc<dyn Listener>) -> Arc<dyn Listener> {
        Arc::new(OnLoss { refresh: self.clone(), listener })
    }
}

impl Listener for OnLoss {
    fn on_event(&self, event: &Event) {
        if let Event::EndpointLost { .. } = event {
            self.refresh.hint();
        }
        self.listener.on_event(event);
    }
}

impl Watcher {
    async fn run(mut self, hints: &Notify) {
        loop {
            let asked = Instant::now();
            let answer = timeout(LIMIT, self.resolver.resolve()).await;
            let answer = answer.unwrap_or(Err(ResolveError::TimedOut(LIMIT)));
            let Some(wait) = self.take(answer) else {
                // What never changes need not be asked for again.
                return std::future::pending().await;
            };
            let due = Instant::now() + wait;
            tokio::select! {
                () = sleep_until(due) => {}
                () = hints.notified() => sleep_until(due.min(asked + APART)).await,
            }
        }
    }

    /// Publishes what is new, and says when to ask again.
    fn take(&mut self, answer: Result<Resolved, ResolveError>) -> Option<Duration> {
        let (refresh, failure) = match answer {
            Ok(Resolved { addresses, refresh, incomplete }) if !addresses.is_empty() => {
                self.publish(addresses);
                (refresh, incomplete)
            }
            Ok(Resolved { incomplete, .. }) => (None, incomplete.or(Some(ResolveError::Empty))),
            Err(error) => (None, Some(error)),
        };
        if let Some(error) = failure {
            self.tell(&error);
            let wait = AFTER_FAILURE.delay(self.failures, Duration::ZERO, &self.random);
            self.failures = self.failures.saturating_add(1);
            return Some(wait);
        }
        if std::mem::take(&mut self.failures) > 0 {
            tracing::info!(peer = %self.target, "resolution works again");
        }
        let refresh = refresh?;
        Some(self.random.between(refresh.mul_f64(0.8), refresh.mul_f64(1.2)))
    }

    fn publish(&self, mut addresses: Vec<Address>) {
        addresses.sort_unstable();
        addresses.dedup();
        self.addresses.send_if_modified(|current| {
            let changed = current.as_deref() != Some(&addresses);
            if changed {
                tracing::debug!(peer = %self.target, ?addresses, "addresses changed");
                *current = Some(addresses.into());
            }
            changed
        });
    }

    fn tell(&self, error: &ResolveError) {
        let target = &self.target;
        let source = error as &dyn Error;
        if self.failures > 0 {
            tracing::debug!(peer = %target, error = source, "resolution still fails");
            return;
        }
        tracing::warn!(peer = %target, error = source, "resolution failed");
        let (target, cause) = (Arc::clone(target), chain(error));
        self.listener.on_event(&Event::ResolutionFailed { target, cause });
    }
}
