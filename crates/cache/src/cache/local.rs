//! The part of a cache that is in this process: what is in memory, who is reading what, and
//! which versions are required.
//!
//! Only a flight (one read of Redis or the store) can put something into memory, and only
//! while it is the one that is known for its key. To declare a key outdated takes its
//! flight from it, in one step with what is in memory. So what was read before that cannot
//! be put there after it, whatever the cache in memory does and drops.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;
use tokio::sync::watch;

use super::entry::Entry;
use super::error::Error;
use super::settings::Settings;

/// How a flight has ended, once it has.
pub(super) type Landed<V, E> = Option<Result<Entry<V>, Error<E>>>;

pub(super) struct Local<K, V, E> {
    memory: moka::sync::Cache<K, Arc<Kept<V>>>,
    /// Entries of another generation are forgotten.
    generation: AtomicU64,
    state: Mutex<State<K, V, E>>,
}

/// An entry in memory.
pub(super) struct Kept<V> {
    pub(super) entry: Entry<V>,
    /// Since when it is there.
    pub(super) since: OffsetDateTime,
    generation: u64,
}

struct State<K, V, E> {
    flights: HashMap<K, Known<V, E>>,
    /// What was required, and Redis has yet to hear of.
    floors: HashMap<K, u64>,
    last: u64,
}

struct Known<V, E> {
    number: u64,
    landed: watch::Receiver<Landed<V, E>>,
}

/// The right to put into memory what was read.
#[derive(Debug)]
pub(super) struct Ticket {
    number: u64,
    /// The version that was required when the flight began.
    floor: u64,
}

/// How a reader gets a value that it did not find.
pub(super) enum Way<V, E> {
    /// It has come in the meantime.
    Kept(Arc<Kept<V>>),
    /// Another is reading it.
    Wait(watch::Receiver<Landed<V, E>>),
    /// The reader begins a flight.
    Fly(Ticket, watch::Sender<Landed<V, E>>),
}

impl<K, V, E> Local<K, V, E>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    pub(super) fn new(settings: &Settings) -> Self {
        let memory = moka::sync::Cache::builder()
            .max_capacity(settings.capacity)
            // This only frees memory; what counts is the clock's time.
            .time_to_live(settings.hard)
            .build();
        let state = State { flights: HashMap::new(), floors: HashMap::new(), last: 0 };
        Self { memory, generation: AtomicU64::new(0), state: Mutex::new(state) }
    }

    pub(super) fn find(&self, key: &K) -> Option<Arc<Kept<V>>> {
        let kept = self.memory.get(key)?;
        (kept.generation == self.generation.load(Ordering::Acquire)).then_some(kept)
    }

    /// How to get a value that was not `is_good`.
    pub(super) fn way(&self, key: &K, is_good: impl Fn(&Kept<V>) -> bool) -> Way<V, E> {
        let mut state = self.state();
        if let Some(kept) = self.find(key).filter(|kept| is_good(kept)) {
            return Way::Kept(kept);
        }
        if let Some(flight) = state.flights.get(key) {
            return Way::Wait(flight.landed.clone());
        }
        let (ticket, sender) = state.begin(key);
        Way::Fly(ticket, sender)
    }

    /// Begins a flight, unless there is one.
    pub(super) fn begin(&self, key: &K) -> Option<(Ticket, watch::Sender<Landed<V, E>>)> {
        let mut state = self.state();
        (!state.flights.contains_key(key)).then(|| state.begin(key))
    }

    /// Whether a flight may give out this version.
    pub(super) fn admits(&self, key: &K, ticket: &Ticket, version: u64) -> bool {
        let floor = self.state().floors.get(key).copied().unwrap_or_default();
        floor.max(ticket.floor) <= version
    }

    /// Puts into memory what a flight has read, if that is no longer outdated, and otherwise
    /// says so. `Err` has what is in memory instead if that is newer.
    pub(super) fn keep(
        &self,
        key: &K,
        ticket: &Ticket,
        entry: &Entry<V>,
        now: OffsetDateTime,
    ) -> Result<(), Option<Entry<V>>> {
        let state = self.state();
        let is_known = state.flights.get(key).is_some_and(|known| known.number == ticket.number);
        let floor = state.floors.get(key).copied().unwrap_or_default().max(ticket.floor);
        if !is_known || entry.version < floor {
            return Err(None);
        }
        // That there is nothing has no version. It was found after what is in memory was.
        if let Some(known) = self.find(key)
            && entry.value.is_some()
            && entry.version < known.entry.version
        {
            return Err(Some(known.entry.clone()));
        }
        let generation = self.generation.load(Ordering::Acquire);
        let kept = Kept { entry: entry.clone(), since: now, generation };
        self.memory.insert(key.clone(), Arc::new(kept));
        Ok(())
    }

    /// Ends a flight.
    pub(super) fn land(&self, key: &K, ticket: &Ticket) {
        let mut state = self.state();
        if state.flights.get(key).is_some_and(|known| known.number == ticket.number) {
            state.flights.remove(key);
        }
    }

    /// Requires at least this version from now on, until [`settle`](Self::settle).
    pub(super) fn require(&self, key: &K, version: u64) {
        let mut state = self.state();
        let floor = state.floors.entry(key.clone()).or_default();
        *floor = version.max(*floor);
        state.flights.remove(key);
        self.remove_below(key, version);
    }

    /// From now on Redis sees to it that this version is required, or there is none.
    pub(super) fn settle(&self, key: &K, version: u64) {
        let mut state = self.state();
        // Whoever has read Redis before it knew must not keep what it said.
        state.flights.remove(key);
        if state.floors.get(key).is_some_and(|floor| *floor <= version) {
            state.floors.remove(key);
        }
    }

    /// What Redis has yet to hear of.
    pub(super) fn unsettled(&self) -> Vec<(K, u64)> {
        self.state().floors.iter().map(|(key, version)| (key.clone(), *version)).collect()
    }

    pub(super) fn unsettled_count(&self) -> usize {
        self.state().floors.len()
    }

    /// Forgets one key.
    pub(super) fn forget(&self, key: &K) {
        let mut state = self.state();
        state.flights.remove(key);
        self.memory.invalidate(key);
    }

    /// Forgets a key unless it is newer than this version.
    pub(super) fn forget_up_to(&self, key: &K, version: u64) {
        let _state = self.state();
        self.remove_below(key, version.saturating_add(1));
    }

    /// Forgets everything.
    pub(super) fn forget_all(&self) {
        let mut state = self.state();
        state.flights.clear();
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.memory.invalidate_all();
    }

    /// The state must be held.
    fn remove_below(&self, key: &K, version: u64) {
        if self.memory.get(key).is_some_and(|kept| kept.entry.version < version) {
            self.memory.invalidate(key);
        }
    }

    fn state(&self) -> MutexGuard<'_, State<K, V, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Clone, V, E> State<K, V, E> {
    fn begin(&mut self, key: &K) -> (Ticket, watch::Sender<Landed<V, E>>) {
        let (sender, landed) = watch::channel(None);
        self.last += 1;
        self.flights.insert(key.clone(), Known { number: self.last, landed });
        let floor = self.floors.get(key).copied().unwrap_or_default();
        (Ticket { number: self.last, floor }, sender)
    }
}
