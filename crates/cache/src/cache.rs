//! A cache of one kind of value.

mod change;
mod entry;
mod error;
mod flight;
mod local;
mod meters;
mod settings;
mod shared;

use std::fmt;
use std::fmt::Display;
use std::hash::Hash;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use prost::Message;
use time::OffsetDateTime;
use tokio::sync::{Semaphore, watch};
use tracing::{Instrument as _, Span};
use trellis_chassis::{Clock, Shutdown};
use trellis_telemetry::Metrics;

use crate::redis::{Listener, Redis};
use entry::{Entry, Quality};
use flight::Flight;
use local::{Kept, Landed, Local, Ticket, Way};
use meters::Meters;
use shared::SharedPart;

pub use change::Change;
pub use error::Error;
pub use settings::Settings;

/// What values go by. Its text is a part of a name in Redis.
pub trait Key: Hash + Eq + Clone + Display + FromStr + Send + Sync + 'static {}
impl<K: Hash + Eq + Clone + Display + FromStr + Send + Sync + 'static> Key for K {}

/// What can be kept: a message, also one of the plain types that are messages.
pub trait Value: Message + Default + Send + Sync + 'static {}
impl<V: Message + Default + Send + Sync + 'static> Value for V {}

/// How reads of the store fail. All who wait for one read get the same error.
pub trait Fault: Clone + Send + Sync + 'static {}
impl<E: Clone + Send + Sync + 'static> Fault for E {}

/// Opens caches. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Caches {
    is_off: bool,
    redis: Option<Redis>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    shutdown: Shutdown,
}

/// Values of one kind by their key: in memory, then in Redis if there is one, then in the
/// store, which whoever reads knows how to ask. Cheap to clone; all clones are one.
///
/// What it promises:
///
/// - Redis fails no read. Without it, values come from memory and the store.
/// - Of those who want the same value at the same time, one asks the store for all, in this
///   process and, while Redis answers, in all processes. There are never more than so many
///   such reads at once ([`Settings::loads`]).
/// - Who stops waiting breaks nothing off. A read that fails, hangs or panics is an error to
///   those who wait for it, or gives them what was kept before, up to [`Settings::hard`].
/// - A value has a version, its row's own, and versions only move forward. Once
///   [`invalidate`](Self::invalidate) has returned, no read that begins in this process is
///   given an older one; others hear of it at once, and if they cannot, give none out that
///   they have not compared with Redis for 5 s.
pub struct Cache<K: Key, V: Value, E: Fault>(Arc<Inner<K, V, E>>);

struct Inner<K: Key, V: Value, E: Fault> {
    settings: Settings,
    prefix: String,
    local: Local<K, V, E>,
    shared: Option<SharedPart<V>>,
    turns: Semaphore,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
    meters: Meters,
    /// Whether nothing is kept, and every read is one of the store.
    is_off: bool,
    /// Whether a task tells Redis what it has yet to hear of.
    is_retelling: AtomicBool,
}

impl Caches {
    /// Caches over `redis`, which somebody must have [followed](Redis::follow); or in memory
    /// alone, for the only process that changes what is kept.
    pub fn new(
        redis: Option<Redis>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
        shutdown: Shutdown,
    ) -> Self {
        Self { is_off: false, redis, clock, metrics, shutdown }
    }

    /// Caches that keep nothing, for one of several processes that share no Redis: nobody
    /// would tell it what the others change.
    #[must_use]
    pub fn off(self) -> Self {
        Self { is_off: true, redis: None, ..self }
    }

    /// A cache in memory and in Redis.
    pub fn open<K: Key, V: Value, E: Fault>(&self, settings: Settings) -> Cache<K, V, E> {
        self.build(settings, self.redis.clone())
    }

    /// A cache in memory alone, for what is not worth a look at Redis.
    pub fn open_in_memory<K: Key, V: Value, E: Fault>(&self, settings: Settings) -> Cache<K, V, E> {
        self.build(settings, None)
    }

    fn build<K: Key, V: Value, E: Fault>(
        &self,
        settings: Settings,
        redis: Option<Redis>,
    ) -> Cache<K, V, E> {
        let shared = redis.clone().map(|redis| SharedPart::new(redis, settings.name));
        let inner = Arc::new(Inner {
            prefix: format!("{}:", settings.name),
            local: Local::new(&settings),
            shared,
            turns: Semaphore::new(settings.loads),
            clock: Arc::clone(&self.clock),
            shutdown: self.shutdown.clone(),
            meters: Meters::new(&self.metrics, settings.name),
            is_retelling: AtomicBool::new(false),
            is_off: self.is_off,
            settings,
        });
        if let Some(redis) = redis {
            let listener: Arc<dyn Listener> = Arc::clone(&inner) as _;
            redis.subscribe(Arc::downgrade(&listener));
        }
        Cache(inner)
    }
}

impl<K: Key, V: Value, E: Fault> Cache<K, V, E> {
    /// The value, or that there is none. `load` reads the store, and says with a value which
    /// version it is; it is called if that is needed, and then perhaps after this has
    /// returned.
    pub async fn get<F, Fut>(&self, key: &K, load: F) -> Result<Option<Arc<V>>, Error<E>>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Option<(u64, V)>, E>> + Send + 'static,
    {
        if self.0.is_off {
            self.0.meters.misses.increment();
            let found = load().await.map_err(Error::Load)?;
            return Ok(found.map(|(_, value)| Arc::new(value)));
        }
        let now = self.0.clock.now();
        let kept = self.0.local.find(key);
        if let Some(kept) = kept.as_ref().filter(|kept| self.0.is_current(kept, now)) {
            match kept.entry.quality(now, dice()) {
                Quality::Fresh => return Ok(self.hit(kept)),
                Quality::Stale => {
                    self.refresh(key, kept, load);
                    self.0.meters.stale_refresh.increment();
                    return Ok(self.hit(kept));
                }
                Quality::Dead => {}
            }
        }
        let is_good = |kept: &Kept<V>| {
            self.0.is_current(kept, now) && kept.entry.quality(now, 1.0) != Quality::Dead
        };
        match self.0.local.way(key, is_good) {
            Way::Kept(kept) => Ok(self.hit(&kept)),
            Way::Wait(landed) => {
                self.0.meters.misses.increment();
                self.0.meters.coalesced.increment();
                wait(landed).await
            }
            Way::Fly(ticket, landed) => {
                self.0.meters.misses.increment();
                let waiting = landed.subscribe();
                let stale = kept.map(|kept| kept.entry.clone());
                self.fly(key, (ticket, landed), stale, None, Span::current(), load);
                wait(waiting).await
            }
        }
    }

    /// Whether nothing is kept, so that one read of the store for many values is cheaper.
    pub fn is_off(&self) -> bool {
        self.0.is_off
    }

    fn hit(&self, kept: &Kept<V>) -> Option<Arc<V>> {
        self.0.meters.hits_memory.increment();
        kept.entry.value.clone()
    }

    /// Reads anew what is old, unless that is being done.
    fn refresh<F, Fut>(&self, key: &K, kept: &Kept<V>, load: F)
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Option<(u64, V)>, E>> + Send + 'static,
    {
        if let Some(begun) = self.0.local.begin(key) {
            let (stale, after) = (Some(kept.entry.clone()), Some(kept.entry.written_at));
            // Nobody waits for it, so it is no part of anybody's trace.
            self.fly(key, begun, stale, after, Span::none(), load);
        }
    }

    fn fly<F, Fut>(
        &self,
        key: &K,
        (ticket, landed): (Ticket, watch::Sender<Landed<V, E>>),
        stale: Option<Entry<V>>,
        after: Option<OffsetDateTime>,
        span: Span,
        load: F,
    ) where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Option<(u64, V)>, E>> + Send + 'static,
    {
        let (cache, key) = (self.clone(), key.clone());
        let flight = Flight { cache, key, ticket, landed, stale, after };
        self.0.shutdown.spawn("cache.load", async move {
            flight.run(load).instrument(span).await;
            Ok(())
        });
    }
}

impl<K: Key, V: Value, E: Fault> Inner<K, V, E> {
    /// Whether an entry in memory may be given out without a look at Redis.
    fn is_current(&self, kept: &Kept<V>, now: OffsetDateTime) -> bool {
        let Some(shared) = &self.shared else { return true };
        let Settings { memory, unheard, .. } = self.settings;
        let most = if shared.redis.is_listening() { memory } else { memory.min(unheard) };
        now - kept.since < most
    }
}

impl<K: Key, V: Value, E: Fault> Listener for Inner<K, V, E> {
    fn prefix(&self) -> &str {
        &self.prefix
    }

    fn outdated(&self, key: &str) {
        self.meters.invalidated_elsewhere.increment();
        if let Ok(key) = key.parse() {
            self.local.forget(&key);
        }
    }

    fn forget_all(&self) {
        self.meters.forgotten.increment();
        self.local.forget_all();
    }
}

/// The version of a row that has a time which only moves forward, such as that of its last
/// change: its microseconds since 1970.
pub fn version_of(time: OffsetDateTime) -> u64 {
    u64::try_from(time.unix_timestamp_nanos() / 1_000).unwrap_or_default()
}

async fn wait<V, E: Fault>(
    mut landed: watch::Receiver<Landed<V, E>>,
) -> Result<Option<Arc<V>>, Error<E>> {
    let landed = landed.wait_for(Option::is_some).await.map_err(|_| Error::Stopped)?;
    match landed.as_ref().expect("it was waited for") {
        Ok(entry) => Ok(entry.value.clone()),
        Err(error) => Err(error.clone()),
    }
}

/// Above 0 and up to 1.
fn dice() -> f64 {
    1.0 - rand::random::<f64>()
}

impl<K: Key, V: Value, E: Fault> Clone for Cache<K, V, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Key, V: Value, E: Fault> fmt::Debug for Cache<K, V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}
