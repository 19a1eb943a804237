//! Saying that values have changed.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;

use super::meters::Asked;
use super::shared::BATCH;
use super::{Cache, Fault, Key, Value};

/// The waits before Redis is told again.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How many keys may wait for Redis to hear of them. What is beyond stays in Redis for as
/// long as it is fresh.
const UNTOLD: usize = 10_000;

/// A write of the store that is going to change values. Whether it does or not, if this is
/// dropped before [`done`](Self::done), as when the caller has gone, the values count as
/// changed.
#[must_use]
#[derive(Debug)]
pub struct Change<K: Key, V: Value, E: Fault> {
    cache: Cache<K, V, E>,
    /// With the lowest version that the write can lead to.
    keys: Vec<(K, u64)>,
}

impl<K: Key, V: Value, E: Fault> Cache<K, V, E> {
    /// Announces a write that can give these keys no version below `least`.
    pub fn change(&self, keys: impl IntoIterator<Item = K>, least: u64) -> Change<K, V, E> {
        let keys = keys.into_iter().map(|key| (key, least)).collect();
        Change { cache: self.clone(), keys }
    }

    /// Requires at least these versions from now on, here and in all processes. To be called
    /// right after they were committed.
    ///
    /// If Redis cannot be told, it is told again until it can, and this process does not
    /// believe it meanwhile. To break off the waiting changes nothing.
    pub async fn invalidate(&self, versions: Vec<(K, u64)>) {
        let (done, wait) = oneshot::channel();
        self.require(versions, done);
        // Nobody answers if there is nobody to be told.
        let _ = wait.await;
    }

    fn require(&self, versions: Vec<(K, u64)>, done: oneshot::Sender<()>) {
        for (key, version) in &versions {
            self.0.meters.invalidated_here.increment();
            self.0.local.require(key, *version);
        }
        if self.0.shared.is_none() {
            self.settle(&versions);
            return;
        }
        let cache = self.clone();
        self.0.shutdown.spawn("cache.invalidate", async move {
            if !cache.tell(&versions).await {
                cache.retell();
            }
            let _ = done.send(());
            Ok(())
        });
    }

    /// Tells Redis, and says whether it has heard everything.
    async fn tell(&self, versions: &[(K, u64)]) -> bool {
        let Some(shared) = &self.0.shared else { return true };
        for some in versions.chunks(BATCH) {
            if shared.require(some).await.is_err() {
                self.0.meters.failed(Asked::Require);
                return false;
            }
            self.settle(some);
        }
        true
    }

    fn settle(&self, versions: &[(K, u64)]) {
        for (key, version) in versions {
            self.0.local.settle(key, *version);
        }
    }

    /// Has Redis told again until it has heard everything.
    fn retell(&self) {
        let too_many = self.0.local.unsettled().into_iter().skip(UNTOLD);
        self.settle(&too_many.collect::<Vec<_>>());
        self.0.meters.pending.set_count(self.0.local.unsettled_count());
        if self.0.is_retelling.swap(true, Ordering::AcqRel) {
            return;
        }
        let cache = self.clone();
        self.0.shutdown.spawn("cache.retell", async move {
            let mut wait = FIRST_WAIT;
            loop {
                tokio::select! {
                    () = cache.0.shutdown.requested() => break,
                    () = sleep(wait.mul_f64(rand::random_range(0.5..=1.0))) => {}
                }
                wait = (wait * 2).min(LONGEST_WAIT);
                // From now on whoever fails begins another such task.
                cache.0.is_retelling.store(false, Ordering::Release);
                let told = cache.tell(&cache.0.local.unsettled()).await;
                cache.0.meters.pending.set_count(cache.0.local.unsettled_count());
                if told || cache.0.is_retelling.swap(true, Ordering::AcqRel) {
                    break;
                }
            }
            Ok(())
        });
    }
}

impl<K: Key, V: Value, E: Fault> Change<K, V, E> {
    /// The write is committed, and has led to these versions.
    pub async fn done(mut self, versions: Vec<(K, u64)>) {
        self.keys.clear();
        self.cache.invalidate(versions).await;
    }
}

impl<K: Key, V: Value, E: Fault> Drop for Change<K, V, E> {
    fn drop(&mut self) {
        if !self.keys.is_empty() {
            self.cache.require(std::mem::take(&mut self.keys), oneshot::channel().0);
        }
    }
}
