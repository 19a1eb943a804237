//! The part of a cache that is in Redis.
//!
//! A key has three names there: that of its entry, that of its tombstone, which says for a
//! minute which versions are outdated, and that of its lease, which one of several
//! processes holds while it reads the store. Each script is one step for everybody else.

use std::fmt::Display;
use std::marker::PhantomData;
use std::sync::LazyLock;
use std::time::Duration;

use prost::Message;
use redis::{Script, Value, cmd};
use trellis_resilience::exec::Operation;
use uuid::Uuid;

use super::entry::Entry;
use crate::redis::{Redis, TOMBSTONES, Unavailable};

/// How long a tombstone stands: longer than any load that began before it.
const TOMBSTONE: Duration = Duration::from_mins(1);
/// How long a lease is held if nobody gives it back.
const LEASE: Duration = Duration::from_secs(3);
/// The digits before an entry: a version, which compares as a text.
const DIGITS: usize = 20;
/// How many keys one script changes.
pub(super) const BATCH: usize = 100;

/// Reads an entry; if there is none, takes the lease. In one step, so that whoever has the
/// lease knows that nobody has written an entry just before.
static GET: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local entry, lease = KEYS[1], KEYS[2]
        local holder, millis = ARGV[1], ARGV[2]
        local found = redis.call('GET', entry)
        if found then
            return found
        end
        if redis.call('SET', lease, holder, 'NX', 'PX', millis) then
            return 1
        end
        return 0
        ",
    )
});

/// Writes an entry and gives back the lease, unless that is no longer held, or what is there
/// is newer, or newer ones are required. Says whether it was written.
///
/// Who had the lease when Redis forgot everything, or stood still for so long, or when the
/// key was declared outdated, may have read something old and does not have it any more.
static SET: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local entry, tombstone, lease = KEYS[1], KEYS[2], KEYS[3]
        local version, bytes, millis, holder = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
        if redis.call('GET', lease) ~= holder then
            return 0
        end
        redis.call('DEL', lease)
        local required = redis.call('GET', tombstone)
        if required and version < required then
            return 0
        end
        if version < redis.call('GETRANGE', entry, 0, 19) then
            return 0
        end
        redis.call('SET', entry, version .. bytes, 'PX', millis)
        return 1
        ",
    )
});

/// For each triple of entry, tombstone and lease: requires at least a version from now on,
/// and takes the lease from whoever has it.
static REQUIRE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local millis = ARGV[#ARGV]
        for index = 1, #KEYS / 3 do
            local entry, tombstone, lease = KEYS[3 * index - 2], KEYS[3 * index - 1], KEYS[3 * index]
            local version = ARGV[index]
            local required = redis.call('GET', tombstone)
            if required and version < required then
                version = required
            end
            redis.call('SET', tombstone, version, 'PX', millis)
            redis.call('DEL', lease)
            if redis.call('GETRANGE', entry, 0, 19) < version then
                redis.call('DEL', entry)
            end
        end
        ",
    )
});

/// Gives back a lease, if it is still held.
static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        if redis.call('GET', KEYS[1]) == ARGV[1] then
            redis.call('DEL', KEYS[1])
        end
        ",
    )
});

pub(super) struct SharedPart<V> {
    pub(super) redis: Redis,
    name: &'static str,
    operations: Operations,
    sort: PhantomData<fn() -> V>,
}

struct Operations {
    get: Operation,
    lease: Operation,
    set: Operation,
    require: Operation,
}

/// The right to be the one who reads the store.
#[derive(Clone, Debug)]
pub(super) struct Lease(String);

/// What there is of a key.
pub(super) enum Found<V> {
    Entry(Entry<V>),
    Leased(Lease),
    /// Nothing that can be read, and another has the lease; or another release has written
    /// something, and this one does without Redis.
    Busy,
}

impl Lease {
    fn random() -> Self {
        Self(Uuid::new_v4().simple().to_string())
    }
}

impl<V: Message + Default> SharedPart<V> {
    pub(super) fn new(redis: Redis, name: &'static str) -> Self {
        let operations = Operations {
            get: redis.operation("cache.get"),
            lease: redis.operation("cache.lease"),
            set: redis.operation("cache.set"),
            require: redis.operation("cache.require"),
        };
        Self { redis, name, operations, sort: PhantomData }
    }

    pub(super) async fn get(&self, key: &impl Display) -> Result<Option<Entry<V>>, Unavailable> {
        let mut get = cmd("GET");
        get.arg(self.entry(key));
        let found: Option<Vec<u8>> = self.redis.query(&self.operations.get, &get).await?;
        Ok(found.and_then(|bytes| parse(&bytes)))
    }

    /// What is there; if nothing is, the right to read the store, unless another has it.
    pub(super) async fn get_or_lease(&self, key: &impl Display) -> Result<Found<V>, Unavailable> {
        let lease = Lease::random();
        let mut script = GET.prepare_invoke();
        script.key(self.entry(key)).key(self.lease_name(key)).arg(&lease.0).arg(millis(LEASE));
        Ok(match self.redis.invoke(&self.operations.get, &script).await? {
            Value::BulkString(bytes) => parse(&bytes).map_or(Found::Busy, Found::Entry),
            Value::Int(1) => Found::Leased(lease),
            _ => Found::Busy,
        })
    }

    /// The right to read the store; `None` if another has it.
    pub(super) async fn lease(&self, key: &impl Display) -> Result<Option<Lease>, Unavailable> {
        let lease = Lease::random();
        let mut set = cmd("SET");
        set.arg(self.lease_name(key)).arg(&lease.0).arg("NX").arg("PX").arg(millis(LEASE));
        let taken: Option<String> = self.redis.query(&self.operations.lease, &set).await?;
        Ok(taken.is_some().then_some(lease))
    }

    /// Whether it was written; if not, it may be outdated.
    pub(super) async fn set(
        &self,
        key: &impl Display,
        entry: &Entry<V>,
        lease: &Lease,
    ) -> Result<bool, Unavailable> {
        let mut script = SET.prepare_invoke();
        script.key(self.entry(key)).key(self.tombstone(key)).key(self.lease_name(key));
        script.arg(digits(entry.version)).arg(entry.encode()).arg(millis(entry.keep()));
        script.arg(&lease.0);
        self.redis.invoke(&self.operations.set, &script).await
    }

    pub(super) async fn release(&self, key: &impl Display, lease: &Lease) {
        let mut script = RELEASE.prepare_invoke();
        script.key(self.lease_name(key)).arg(&lease.0);
        // If it is not heard, it is over in three seconds.
        let _: Result<(), _> = self.redis.invoke(&self.operations.lease, &script).await;
    }

    /// Up to [`BATCH`] of them, at once.
    pub(super) async fn require<K: Display>(&self, floors: &[(K, u64)]) -> Result<(), Unavailable> {
        let mut script = REQUIRE.prepare_invoke();
        for (key, version) in floors {
            script.key(self.entry(key)).key(self.tombstone(key)).key(self.lease_name(key));
            script.arg(digits(*version));
        }
        script.arg(millis(TOMBSTONE));
        self.redis.invoke(&self.operations.require, &script).await
    }

    fn entry(&self, key: &impl Display) -> String {
        format!("trellis:entry:1:{}:{key}", self.name)
    }

    fn tombstone(&self, key: &impl Display) -> String {
        format!("{TOMBSTONES}{}:{key}", self.name)
    }

    fn lease_name(&self, key: &impl Display) -> String {
        format!("trellis:lease:1:{}:{key}", self.name)
    }
}

fn digits(version: u64) -> String {
    format!("{version:020}")
}

fn parse<V: Message + Default>(bytes: &[u8]) -> Option<Entry<V>> {
    let (version, envelope) = bytes.split_at_checked(DIGITS)?;
    let version = std::str::from_utf8(version).ok()?.parse().ok()?;
    Entry::decode(version, envelope)
}

fn millis(duration: Duration) -> u64 {
    // Redis knows no shorter life.
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}
