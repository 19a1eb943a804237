//! What the breaker promises, with a clock that is moved by hand.

mod half_open;
mod models;
mod modes;
mod observed;
mod racing;
mod recovery;
mod tripping;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Breaker, Mode, OwnedPermit, Reason, Settings, State};
use crate::core::clock::{Clock, Manual, Time};
use crate::core::environment::Environment;
use crate::core::outcome::{FailureKind, Health, RetrySafety, Verdict};
use crate::core::random::Random;
use crate::observe::{Event, Listener, Recorder};

const UNAVAILABLE: Verdict = Verdict::failure(FailureKind::Server, RetrySafety::IfIdempotent);
const RESOURCE_EXHAUSTED: Verdict = Verdict::new(Health::Degraded, RetrySafety::Never);
const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A breaker, its clock, and what it has told.
struct Rig {
    breaker: Breaker,
    clock: Arc<Manual>,
    heard: Arc<Heard>,
    counted: Recorder,
}

#[derive(Debug, Default)]
struct Heard(Mutex<Vec<Event>>);

impl Rig {
    fn new(settings: Settings) -> Self {
        Self::seeded(settings, 1)
    }

    fn seeded(settings: Settings, seed: u64) -> Self {
        let (clock, heard) = (Arc::new(Manual::new()), Arc::new(Heard::default()));
        let counted = Recorder::default();
        let environment = Environment {
            clock: Arc::clone(&clock) as _,
            random: Arc::new(Random::seeded(seed)),
            listener: Arc::clone(&heard) as _,
            metrics: Arc::new(counted.clone()),
        };
        let breaker = Breaker::new("inventory", settings, environment).unwrap();
        Self { breaker, clock, heard, counted }
    }

    /// A breaker that has just opened after failures in a row.
    fn opened(settings: Settings) -> Self {
        let rig = Self::new(settings);
        rig.trip();
        rig
    }

    /// A breaker whose wait is over.
    fn waited(settings: Settings) -> Self {
        let rig = Self::opened(settings);
        rig.wait();
        rig
    }

    fn now(&self) -> Time {
        self.clock.now()
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    fn state(&self) -> State {
        self.breaker.state(self.now())
    }

    fn acquire(&self) -> OwnedPermit {
        self.breaker.try_acquire_owned(self.now()).unwrap()
    }

    fn is_rejected(&self) -> bool {
        self.breaker.try_acquire(self.now()).is_err()
    }

    /// A call without duration.
    fn call(&self, verdict: Verdict) {
        self.breaker.try_acquire(self.now()).unwrap().record(&verdict, self.now());
    }

    fn calls(&self, count: usize, verdict: Verdict) {
        for _ in 0..count {
            self.call(verdict);
        }
    }

    /// A call that takes so long.
    fn call_for(&self, duration: Duration, verdict: Verdict) {
        let permit = self.acquire();
        self.advance(duration);
        permit.record(&verdict, self.now());
    }

    fn trip(&self) {
        self.calls(5, UNAVAILABLE);
        assert_eq!(self.state(), State::Open);
    }

    /// Lets the time pass for which it stays open.
    fn wait(&self) -> Duration {
        let wait = self.breaker.try_acquire(self.now()).unwrap_err().retry_after;
        self.advance(wait);
        wait
    }

    fn totals(&self) -> super::Totals {
        self.breaker.totals(self.now())
    }

    fn stale(&self) -> u64 {
        self.breaker.snapshot(self.now()).stale_outcomes
    }

    fn changes(&self) -> Vec<(State, State, Reason)> {
        let heard = self.heard.0.lock().unwrap();
        let change = |event: &Event| match event {
            Event::BreakerChanged { from, to, reason, .. } => Some((*from, *to, *reason)),
            _ => None,
        };
        heard.iter().filter_map(change).collect()
    }

    fn would_open(&self) -> usize {
        let heard = self.heard.0.lock().unwrap();
        heard.iter().filter(|event| matches!(event, Event::BreakerWouldOpen { .. })).count()
    }
}

impl Listener for Heard {
    fn on_event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}
