//! A rate for each of many keys.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Gcra, Pace};
use crate::core::clock::Time;

/// Below this many keys, one lock is enough.
const ONE_SHARD: usize = 1_024;
const SHARDS: usize = 16;

/// A [`Gcra`] for each key, such as each caller, in bounded memory.
///
/// A key whose burst is whole again is as good as new, so it is forgotten when its
/// place is needed; there is no task that cleans up. When there is no such place, the
/// keys that find none share one rate among them: those that are known keep their own,
/// whoever invents keys gains nothing, and the total stays bounded. Keys are spread
/// over shards by chance, so that can happen a little before `most` are known.
pub struct KeyedGcra<K> {
    pace: Pace,
    hasher: RandomState,
    shards: Box<[Mutex<Shard<K>>]>,
    /// Keys in one shard.
    room: usize,
    strangers: Gcra,
}

struct Shard<K> {
    due: HashMap<K, u64>,
    /// No key is idle before.
    sweep: u64,
}

impl<K: Hash + Eq> KeyedGcra<K> {
    /// Each key has the rate and burst as of [`Gcra::new`]; at most `most` keys, at
    /// least one, are known at a time.
    pub fn new(per_second: f64, burst: u32, most: usize) -> Self {
        let shards = if most < ONE_SHARD { 1 } else { SHARDS };
        Self {
            pace: Pace::new(per_second, burst),
            hasher: RandomState::new(),
            shards: (0..shards).map(|_| Mutex::new(Shard::new())).collect(),
            room: (most / shards).max(1),
            strangers: Gcra::new(per_second, burst),
        }
    }

    /// As [`Gcra::check`], for the calls with this key. The key is only cloned when it
    /// is new.
    pub fn check<Q>(&self, key: &Q, now: Time) -> Result<(), Duration>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let mut shard = self.shard(key);
        if let Some(due) = shard.due.get_mut(key) {
            *due = self.pace.next(*due, now)?;
            return Ok(());
        }
        if shard.has_room(self.room, now) {
            let next = self.pace.next(0, now)?;
            shard.insert(key.to_owned(), next);
            return Ok(());
        }
        drop(shard);
        self.strangers.check(now)
    }

    /// How many keys are known, idle ones included.
    pub fn known(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).due.len()).sum()
    }

    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> MutexGuard<'_, Shard<K>> {
        let shards = self.shards.len() as u64;
        let index = usize::try_from(self.hasher.hash_one(key) % shards)
            .expect("the index of a shard is small");
        lock(&self.shards[index])
    }
}

impl<K: Hash + Eq> Shard<K> {
    fn new() -> Self {
        Self { due: HashMap::new(), sweep: 0 }
    }

    /// Forgets idle keys if that is needed and can help.
    fn has_room(&mut self, room: usize, now: Time) -> bool {
        let now = now.as_nanos();
        if self.due.len() < room {
            return true;
        }
        if now < self.sweep {
            return false;
        }
        self.due.retain(|_, due| now < *due);
        self.sweep = self.due.values().copied().min().unwrap_or(0);
        self.due.len() < room
    }

    fn insert(&mut self, key: K, due: u64) {
        self.due.insert(key, due);
        self.sweep = self.sweep.min(due);
    }
}

impl<K> fmt::Debug for KeyedGcra<K> {
    /// Without the keys, which may be names of callers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedGcra")
            .field("pace", &self.pace)
            .field("room", &(self.room * self.shards.len()))
            .finish_non_exhaustive()
    }
}

fn lock<K>(shard: &Mutex<Shard<K>>) -> MutexGuard<'_, Shard<K>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
