//! One read of what is not in memory: in Redis first, then in the store.
//!
//! It is a task of its own, so it goes on when whoever began it has gone.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::entry::{Entry, Quality};
use super::error::Error;
use super::local::{Landed, Ticket};
use super::meters::{Asked, Loaded};
use super::shared::{Found, Lease, SharedPart};
use super::{Cache, Fault, Key, Value, dice};

/// What a process waits for another that is reading the store, in milliseconds.
const WAIT: std::ops::RangeInclusive<u64> = 50..=250;

pub(super) struct Flight<K: Key, V: Value, E: Fault> {
    pub(super) cache: Cache<K, V, E>,
    pub(super) key: K,
    pub(super) ticket: Ticket,
    pub(super) landed: watch::Sender<Landed<V, E>>,
    /// What may be given out if nothing better is found.
    pub(super) stale: Option<Entry<V>>,
    /// Only what was written later is an answer.
    pub(super) after: Option<OffsetDateTime>,
}

/// What is to be done when Redis was asked.
enum Next {
    Nothing,
    Load(Option<Lease>),
}

impl<K: Key, V: Value, E: Fault> Flight<K, V, E> {
    pub(super) async fn run<F, Fut>(mut self, load: F)
    where
        F: FnOnce() -> Fut + Send,
        Fut: Future<Output = Result<Option<(u64, V)>, E>> + Send,
    {
        if let Next::Load(lease) = self.look().await {
            self.load(lease, load).await;
        }
    }

    /// Looks in Redis.
    async fn look(&mut self) -> Next {
        let cache = self.cache.clone();
        let (Some(shared), meters) = (&cache.0.shared, &cache.0.meters) else {
            return Next::Load(None);
        };
        match shared.get_or_lease(&self.key).await {
            Ok(Found::Leased(lease)) => return Next::Load(Some(lease)),
            Ok(Found::Busy) => {}
            Ok(Found::Entry(entry)) => {
                if self.take(entry) {
                    return Next::Nothing;
                }
                if let Some(next) = self.renew(shared).await {
                    return next;
                }
            }
            Err(_) => {
                meters.failed(Asked::Get);
                return Next::Load(None);
            }
        }
        self.await_other(shared).await
    }

    /// Takes the lease of an entry that is not good enough; `None` if another has it.
    async fn renew(&mut self, shared: &SharedPart<V>) -> Option<Next> {
        let meters = &self.cache.0.meters;
        let lease = match shared.lease(&self.key).await {
            Ok(Some(lease)) => lease,
            Ok(None) => return None,
            Err(_) => {
                meters.failed(Asked::Lease);
                return Some(Next::Load(None));
            }
        };
        // Whoever had it before may have just written something better.
        if let Ok(Some(entry)) = shared.get(&self.key).await
            && self.take(entry)
        {
            shared.release(&self.key, &lease).await;
            return Some(Next::Nothing);
        }
        Some(Next::Load(Some(lease)))
    }

    /// Another process reads the store, and will say in Redis what it has found.
    async fn await_other(&mut self, shared: &SharedPart<V>) -> Next {
        sleep(Duration::from_millis(rand::random_range(WAIT))).await;
        match shared.get(&self.key).await {
            Ok(Some(entry)) => {
                if self.take(entry) {
                    return Next::Nothing;
                }
            }
            Ok(None) => {}
            Err(_) => self.cache.0.meters.failed(Asked::Get),
        }
        let Some(stale) = self.stale() else { return Next::Load(None) };
        self.say(Ok(stale), || self.cache.0.meters.stale_lease.increment());
        Next::Nothing
    }

    /// Takes what Redis has, and says whether that is the answer.
    ///
    /// What is old is given out at once to those who wait, and the flight goes on for
    /// something new.
    fn take(&mut self, entry: Entry<V>) -> bool {
        let cache = self.cache.clone();
        if !cache.0.local.admits(&self.key, &self.ticket, entry.version) {
            cache.0.meters.outdated.increment();
            return false;
        }
        let quality = entry.quality(cache.0.clock.now(), dice());
        let is_later = self.after.is_none_or(|after| after < entry.written_at);
        if quality == Quality::Dead || !is_later {
            return false;
        }
        let given = self.keep(entry);
        let is_fresh = quality == Quality::Fresh;
        self.say(Ok(given.clone()), || {
            cache.0.meters.hits_redis.increment();
            if !is_fresh {
                cache.0.meters.stale_refresh.increment();
            }
        });
        self.after = Some(given.written_at);
        self.stale = Some(given);
        is_fresh
    }

    async fn load<F, Fut>(mut self, lease: Option<Lease>, load: F)
    where
        F: FnOnce() -> Fut + Send,
        Fut: Future<Output = Result<Option<(u64, V)>, E>> + Send,
    {
        let cache = self.cache.clone();
        let (inner, began) = (&cache.0, Instant::now());
        let loading = async {
            let _turn = inner.turns.acquire().await.expect("it is never closed");
            // What is read is at least as new as this.
            let (now, began) = (inner.clock.now(), Instant::now());
            let loaded = AssertUnwindSafe(async { load().await }).catch_unwind().await;
            (loaded, now, began.elapsed())
        };
        let loaded = timeout(inner.settings.load, loading).await;
        let count = |how| inner.meters.loaded(how, began.elapsed());
        let error = match loaded {
            Ok((Ok(Ok(found)), now, took)) => {
                count(if found.is_some() { Loaded::Found } else { Loaded::Nothing });
                let found = found.map_or((0, None), |(version, value)| (version, Some(value)));
                let entry = Entry::new(found, &inner.settings, now, took, dice());
                return self.found(entry, lease).await;
            }
            Ok((Ok(Err(error)), ..)) => {
                count(Loaded::Failed);
                Error::Load(error)
            }
            // The hook for panics has logged it.
            Ok((Err(_), ..)) => {
                count(Loaded::Panicked);
                Error::Panicked
            }
            Err(_) => {
                count(Loaded::TimedOut);
                Error::TimedOut
            }
        };
        match self.stale() {
            Some(stale) => self.say(Ok(stale), || inner.meters.stale_error.increment()),
            None => self.say(Err(error), || {}),
        }
        // The next reader should try, and not wait for this one.
        inner.local.land(&self.key, &self.ticket);
        if let (Some(shared), Some(lease)) = (&inner.shared, lease) {
            shared.release(&self.key, &lease).await;
        }
    }

    /// Gives out what the store has, then tells Redis, if this is who should.
    async fn found(self, entry: Entry<V>, lease: Option<Lease>) {
        let cache = self.cache.clone();
        let given = self.keep(entry.clone());
        self.say(Ok(given), || {});
        cache.0.local.land(&self.key, &self.ticket);
        let (Some(shared), Some(lease)) = (&cache.0.shared, lease) else { return };
        match shared.set(&self.key, &entry, &lease).await {
            Ok(true) => {}
            Ok(false) => {
                cache.0.meters.outdated.increment();
                cache.0.local.forget_up_to(&self.key, entry.version);
            }
            Err(_) => cache.0.meters.failed(Asked::Set),
        }
    }

    /// Puts it into memory, and says what is to be given out.
    fn keep(&self, entry: Entry<V>) -> Entry<V> {
        let inner = &self.cache.0;
        match inner.local.keep(&self.key, &self.ticket, &entry, inner.clock.now()) {
            Ok(()) => entry,
            Err(newer) => {
                inner.meters.outdated.increment();
                newer.unwrap_or(entry)
            }
        }
    }

    /// Answers those who wait, unless they were answered; then `count` is called.
    fn say(&self, answer: Result<Entry<V>, Error<E>>, count: impl FnOnce()) {
        let is_first = self.landed.borrow().is_none();
        if is_first {
            count();
            self.landed.send_replace(Some(answer));
        }
    }

    fn stale(&mut self) -> Option<Entry<V>> {
        let now = self.cache.0.clock.now();
        self.stale.take().filter(|entry| entry.quality(now, 1.0) != Quality::Dead)
    }
}

/// However it ends, the next reader begins another.
impl<K: Key, V: Value, E: Fault> Drop for Flight<K, V, E> {
    fn drop(&mut self) {
        self.cache.0.local.land(&self.key, &self.ticket);
    }
}
