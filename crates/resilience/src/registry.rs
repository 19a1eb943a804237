//! What is running, for operators: a look at all of it, and a few commands.

pub mod admin;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use serde_json::{Map, Value, json};

use crate::chaos::{Chaos, InvalidRule, Rule};
use crate::core::breaker::{Breaker, Mode};
use crate::core::clock::Time;
use crate::core::environment::Environment;
use crate::core::limit::Limiter;
use crate::observe::Recorder;

/// Knows what is running by its name, for as long as it lives. Cheap to clone; all
/// clones are one.
///
/// It owns the [`Chaos`] that everything it knows obeys.
#[derive(Clone)]
pub struct Registry(Arc<Shared>);

/// What can be looked at.
pub trait Inspect: Send + Sync {
    /// How it is now, in a stable order. It must not call the registry.
    fn snapshot(&self, now: Time) -> Value;

    /// Brings its gauges up to date: those of what changes by itself, or too often to be
    /// told at each change. By default there are none. It must not call the registry.
    fn publish(&self, _now: Time) {}

    /// Its breakers, so that they can be commanded.
    fn breakers(&self) -> Vec<Breaker> {
        Vec::new()
    }
}

/// Keeps something in the registry until it is dropped.
#[must_use]
pub struct Kept(#[expect(dead_code, reason = "its owner is all that it is for")] Arc<dyn Inspect>);

/// A command that cannot be obeyed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No breaker has this name; `known` are the names of those that there are.
    #[error("there is no breaker {name:?}; there are: {}", known.join(", "))]
    UnknownBreaker { name: String, known: Vec<String> },
}

struct Shared {
    environment: Environment,
    chaos: Arc<Chaos>,
    /// By sort and name.
    items: Mutex<Items>,
}

type Items = BTreeMap<&'static str, BTreeMap<String, Weak<dyn Inspect>>>;

impl Registry {
    /// `environment` is also what is built with this registry and without an
    /// environment of its own takes.
    pub fn new(environment: Environment) -> Self {
        let chaos = Arc::new(Chaos::new(&environment));
        Self(Arc::new(Shared { environment, chaos, items: Mutex::default() }))
    }

    pub fn environment(&self) -> &Environment {
        &self.0.environment
    }

    /// The rules of chaos that everything it knows obeys.
    pub fn chaos(&self) -> &Arc<Chaos> {
        &self.0.chaos
    }

    /// Shows `item` among its sort, such as `clients`, until its last owner drops it.
    /// Returns the name under which it does.
    ///
    /// Names can stand in the path of a URL: what cannot becomes a `-`. If the name is
    /// taken, a number is put behind it.
    pub fn watch<I: Inspect + 'static>(
        &self,
        sort: &'static str,
        name: &str,
        item: &Arc<I>,
    ) -> String {
        let item: Weak<I> = Arc::downgrade(item);
        self.insert(sort, name, item)
    }

    /// As [`watch`](Self::watch), for what is cheap to clone and has no owner to watch,
    /// such as a [`Breaker`].
    pub fn keep(&self, sort: &'static str, name: &str, item: impl Inspect + 'static) -> Kept {
        let item: Arc<dyn Inspect> = Arc::new(item);
        self.insert(sort, name, Arc::downgrade(&item));
        Kept(item)
    }

    /// Brings all gauges up to date. Whoever exports metrics calls it before each time
    /// that it reads them.
    pub fn publish(&self) {
        let now = self.0.environment.clock.now();
        for (_, _, item) in self.live() {
            item.publish(now);
        }
    }

    /// Does [`publish`](Self::publish) whenever it is called, for as long as somebody
    /// else keeps this registry: for the library that metrics go to.
    pub fn publisher(&self) -> impl Fn() + Send + Sync + 'static {
        let shared = Arc::downgrade(&self.0);
        move || {
            if let Some(shared) = shared.upgrade() {
                Self(shared).publish();
            }
        }
    }

    /// How everything is now, in a stable order:
    /// `{"breakers": {"inventory": {..}}, "chaos": [..], ..}`. Gauges that are shown in
    /// it are up to date, as after [`publish`](Self::publish).
    pub fn snapshot(&self) -> Value {
        let now = self.0.environment.clock.now();
        let live = self.live();
        for (_, _, item) in &live {
            item.publish(now);
        }
        let mut sorts: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        for (sort, name, item) in live {
            sorts.entry(sort).or_default().insert(name, item.snapshot(now));
        }
        let mut all: BTreeMap<&str, Value> =
            sorts.into_iter().map(|(sort, items)| (sort, Value::Object(items))).collect();
        all.insert("chaos", json!(self.0.chaos.standing()));
        json!(all)
    }

    /// The names of the breakers that can be commanded, sorted.
    pub fn breakers(&self) -> Vec<String> {
        let mut names: Vec<_> =
            self.all_breakers().map(|breaker| url_safe(breaker.name())).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The state of every breaker, by its name. Of several of one name, that of the last.
    pub fn breaker_snapshots(&self) -> Value {
        let now = self.0.environment.clock.now();
        let shown = |breaker: Breaker| (url_safe(breaker.name()), json!(breaker.snapshot(now)));
        Value::Object(self.all_breakers().map(shown).collect())
    }

    /// Sets the mode of every breaker of this name: a process may call one target
    /// through several clients.
    pub fn set_breaker_mode(&self, name: &str, mode: Mode) -> Result<(), CommandError> {
        let wanted = url_safe(name);
        let named = |breaker: &Breaker| url_safe(breaker.name()) == wanted;
        let found: Vec<_> = self.all_breakers().filter(named).collect();
        if found.is_empty() {
            let (name, known) = (name.to_owned(), self.breakers());
            return Err(CommandError::UnknownBreaker { name, known });
        }
        let now = self.0.environment.clock.now();
        for breaker in found {
            breaker.set_mode(mode, now);
        }
        Ok(())
    }

    /// Replaces the rules of chaos.
    pub fn set_chaos(&self, rules: Vec<Rule>) -> Result<(), InvalidRule> {
        self.0.chaos.set(rules)
    }

    /// Removes all rules of chaos.
    pub fn clear_chaos(&self) {
        self.0.chaos.clear();
    }

    fn insert(&self, sort: &'static str, name: &str, item: Weak<dyn Inspect>) -> String {
        let name = url_safe(name);
        let mut items = self.lock();
        let named = items.entry(sort).or_default();
        named.retain(|_, item| item.strong_count() > 0);
        let numbered = (2_u32..).map(|number| format!("{name}~{number}"));
        let free = std::iter::once(name.clone())
            .chain(numbered)
            .find(|name| !named.contains_key(name))
            .expect("there are more numbers than items");
        named.insert(free.clone(), item);
        free
    }

    /// What lives, in order. They are called without the lock.
    fn live(&self) -> Vec<(&'static str, String, Arc<dyn Inspect>)> {
        let mut items = self.lock();
        for named in items.values_mut() {
            named.retain(|_, item| item.strong_count() > 0);
        }
        let named = items.iter().flat_map(|(sort, named)| named.iter().map(move |it| (*sort, it)));
        named
            .filter_map(|(sort, (name, item))| Some((sort, name.clone(), item.upgrade()?)))
            .collect()
    }

    fn all_breakers(&self) -> impl Iterator<Item = Breaker> + use<> {
        self.live().into_iter().flat_map(|(_, _, item)| item.breakers())
    }

    fn lock(&self) -> MutexGuard<'_, Items> {
        self.0.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Characters that may stand in a segment of a path as they are (RFC 3986, 3.3).
fn url_safe(name: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "-._~:@".contains(c);
    let safe: String = name.chars().map(|c| if is_safe(c) { c } else { '-' }).collect();
    // These would be taken for steps in the path, and nothing for its end.
    if matches!(&*safe, "" | "." | "..") { format!("-{safe}") } else { safe }
}

impl Inspect for Breaker {
    fn snapshot(&self, now: Time) -> Value {
        json!(Self::snapshot(self, now))
    }

    fn breakers(&self) -> Vec<Breaker> {
        vec![self.clone()]
    }
}

impl Inspect for Limiter {
    fn snapshot(&self, _: Time) -> Value {
        json!(Self::snapshot(self))
    }
}

impl Inspect for Recorder {
    fn snapshot(&self, _: Time) -> Value {
        Self::snapshot(self)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.live().into_iter().map(|(sort, name, _)| (sort, name));
        f.debug_set().entries(names).finish()
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
