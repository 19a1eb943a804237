//! A store that counts how often it is read, and processes that have caches over it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use time::OffsetDateTime;
use time::macros::datetime;
use tokio::sync::{Notify, Semaphore};
use trellis_cache::redis::PATIENCE;
use trellis_cache::{Cache, Caches, Error, Redis, Settings};
use trellis_chassis::transport::Roads;
use trellis_chassis::{Clock, ManualClock, Shutdown, SystemClock};
use trellis_telemetry::Metrics;

pub(crate) const START: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);
pub(crate) const SOFT: Duration = Duration::from_mins(5);
pub(crate) const HARD: Duration = Duration::from_hours(1);
/// For what has to happen some time, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(30);

pub(crate) type Values = Cache<String, String, &'static str>;

/// Rows by their key, each with a version, and a door before them that tests can close.
#[derive(Clone, Debug)]
pub(crate) struct Store(Arc<Rows>);

#[derive(Debug)]
struct Rows {
    versions: Mutex<HashMap<String, u64>>,
    reads: AtomicUsize,
    /// How many reads there are, and were at the most, at once.
    now: AtomicUsize,
    most: AtomicUsize,
    /// Reads take a permit and do not give it back.
    door: Semaphore,
    arrival: Notify,
    fault: Mutex<Option<Fault>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Error,
    Panic,
}

pub(crate) struct Process {
    pub(crate) values: Values,
    pub(crate) redis: Option<Redis>,
    pub(crate) metrics: Metrics,
    pub(crate) clock: ManualClock,
    pub(crate) shutdown: Shutdown,
    pub(crate) store: Store,
}

impl Store {
    /// Nobody waits at the door.
    pub(crate) fn open() -> Self {
        Self::new(Semaphore::MAX_PERMITS)
    }

    /// Everybody waits until they are [let in](Self::let_in). What they find is what was
    /// there when they came.
    pub(crate) fn closed() -> Self {
        Self::new(0)
    }

    fn new(permits: usize) -> Self {
        Self(Arc::new(Rows {
            versions: Mutex::default(),
            reads: AtomicUsize::new(0),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            door: Semaphore::new(permits),
            arrival: Notify::new(),
            fault: Mutex::new(None),
        }))
    }

    pub(crate) fn write(&self, key: &str, version: u64) {
        self.0.versions.lock().unwrap().insert(key.to_owned(), version);
    }

    pub(crate) fn fail(&self, fault: impl Into<Option<Fault>>) {
        *self.0.fault.lock().unwrap() = fault.into();
    }

    pub(crate) fn let_in(&self, reads: usize) {
        self.0.door.add_permits(reads);
    }

    /// Ends when so many reads have come to the door since the beginning.
    pub(crate) async fn arrived(&self, reads: usize) {
        let arrived = async {
            loop {
                let arrival = self.0.arrival.notified();
                if reads <= self.reads() {
                    return;
                }
                arrival.await;
            }
        };
        tokio::time::timeout(SOON, arrived).await.expect("they come");
    }

    pub(crate) fn reads(&self) -> usize {
        self.0.reads.load(Ordering::SeqCst)
    }

    pub(crate) fn most_at_once(&self) -> usize {
        self.0.most.load(Ordering::SeqCst)
    }

    async fn read(self, key: String) -> Result<Option<(u64, String)>, &'static str> {
        let rows = &self.0;
        let found = rows.versions.lock().unwrap().get(&key).copied();
        rows.most.fetch_max(rows.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        rows.reads.fetch_add(1, Ordering::SeqCst);
        rows.arrival.notify_waiters();
        rows.door.acquire().await.unwrap().forget();
        rows.now.fetch_sub(1, Ordering::SeqCst);
        let fault = *rows.fault.lock().unwrap();
        match fault {
            Some(Fault::Error) => return Err("the disk is on fire"),
            Some(Fault::Panic) => panic!("a bug in the store"),
            None => {}
        }
        Ok(found.map(|version| (version, format!("{key} {version}"))))
    }
}

impl Process {
    /// Without Redis.
    pub(crate) fn alone(store: &Store) -> Self {
        Self::with(store, None)
    }

    /// With Redis, of which it has heard already.
    pub(crate) async fn over(server: &trellis_testkit::Redis, store: &Store) -> Self {
        Self::listening(store, connect(server)).await
    }

    /// The same, with the patience that a shop has.
    pub(crate) async fn impatient(server: &trellis_testkit::Redis, store: &Store) -> Self {
        Self::listening(store, connect_with(server, PATIENCE)).await
    }

    async fn listening(store: &Store, redis: Redis) -> Self {
        let process = Self::with(store, Some(redis));
        let redis = process.redis.clone().unwrap();
        redis.follow(&process.shutdown);
        process.listens().await;
        process
    }

    /// In memory alone.
    pub(crate) fn caches(&self) -> Caches {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        Caches::new(None, clock, self.metrics.clone(), self.shutdown.clone())
    }

    fn with(store: &Store, redis: Option<Redis>) -> Self {
        let (clock, metrics) = (ManualClock::new(START), Metrics::default());
        let shutdown = Shutdown::default();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let caches = Caches::new(redis.clone(), shared, metrics.clone(), shutdown.clone());
        let values = caches.open(Settings::new("test", SOFT, HARD));
        Self { values, redis, metrics, clock, shutdown, store: store.clone() }
    }

    pub(crate) async fn read(&self, key: &str) -> Result<Option<String>, Error<&'static str>> {
        let (store, key) = (self.store.clone(), key.to_owned());
        let read = self.values.get(&key.clone(), move || store.read(key)).await?;
        Ok(read.map(|value| value.as_str().to_owned()))
    }

    /// The version that a read is given; 0 if there is nothing.
    pub(crate) async fn version(&self, key: &str) -> u64 {
        let value = self.read(key).await.expect("a read never fails");
        value.map_or(0, |value| value.rsplit_once(' ').unwrap().1.parse().unwrap())
    }

    pub(crate) async fn write(&self, key: &str, version: u64) {
        self.store.write(key, version);
        self.values.invalidate(vec![(key.to_owned(), version)]).await;
    }

    pub(crate) async fn listens(&self) {
        let redis = self.redis.as_ref().unwrap();
        eventually("Redis is heard", || redis.is_listening()).await;
    }

    pub(crate) async fn listens_no_more(&self) {
        let redis = self.redis.as_ref().unwrap();
        eventually("Redis is no longer heard", || !redis.is_listening()).await;
    }

    /// The value of a counter with these labels.
    pub(crate) fn counted(&self, name: &str, labels: &str) -> u64 {
        let text = self.metrics.text();
        let series = format!("trellis_cache_{name}{{cache=\"test\"{labels}}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(series.as_str()));
        line.unwrap_or_else(|| panic!("no {series}in {text}")).parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.shutdown.request();
    }
}

/// With more patience than a shop has: a machine that is busy with other tests is slow.
pub(crate) fn connect(server: &trellis_testkit::Redis) -> Redis {
    connect_with(server, Duration::from_millis(900))
}

pub(crate) fn connect_with(server: &trellis_testkit::Redis, patience: Duration) -> Redis {
    let (url, roads) = (server.url().parse().unwrap(), Roads::new());
    Redis::with_patience("redis.test", url, roads.registry(), patience).unwrap()
}

/// Looks now and then until it is so.
pub(crate) async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let looking = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let looked = tokio::time::timeout(SOON, looking).await;
    assert!(looked.is_ok(), "not in time: {what}");
}

/// Reads until the version is at least this.
pub(crate) async fn sees(process: &Process, key: &str, version: u64) {
    let begun = SystemClock.now();
    while process.version(key).await < version {
        assert!(SystemClock.now() - begun < SOON, "{version} of {key} is not seen");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
