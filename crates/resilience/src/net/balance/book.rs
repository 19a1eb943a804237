//! What all endpoints of a balancer share: the settings, who is left out, and who is
//! told.
//!
//! It does not hold the endpoints, which hold it, so that a call can end long after
//! its endpoint, or the balancer, is gone.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use super::ledger::{Charge, Ledger};
use super::meters::{Census, Meters};
use super::settings::Settings;
use super::tried::EndpointId;
use super::vitals::Vitals;
use crate::core::clock::Time;
use crate::core::environment::Environment;
use crate::net::ewma::{Rates, Tick};
use crate::observe::Event;

#[derive(Debug)]
pub(super) struct Book {
    target: Arc<str>,
    settings: Settings,
    rates: Rates,
    /// In ticks.
    explore_after: u32,
    environment: Environment,
    /// When the endpoints are looked over next; zero: at once.
    due: AtomicU64,
    panicking: AtomicBool,
    /// The share of calls that stay in the own zone, of [`Book::WHOLE`].
    local: AtomicU32,
    ids: AtomicU64,
    ledger: Mutex<Ledger>,
    meters: Meters,
}

impl Book {
    /// All calls stay in the own zone.
    pub(super) const WHOLE: u32 = 1 << 16;

    pub(super) fn new(target: Arc<str>, settings: Settings, environment: Environment) -> Self {
        // Counts that fade forget as fast as a window that is twice as long.
        let rates = Rates::new(settings.decay, settings.outlier.window / 2);
        let sweep_at = environment.clock.now() + settings.outlier.interval;
        let meters = Meters::new(&target, &environment);
        let explore_after = Tick::span(settings.explore_after);
        Self {
            target,
            settings,
            rates,
            explore_after,
            environment,
            due: AtomicU64::new(0),
            panicking: AtomicBool::new(false),
            local: AtomicU32::new(0),
            ids: AtomicU64::new(0),
            ledger: Mutex::new(Ledger::new(sweep_at)),
            meters,
        }
    }

    pub(super) fn target(&self) -> &Arc<str> {
        &self.target
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn rates(&self) -> Rates {
        self.rates
    }

    pub(super) fn explore_after(&self) -> u32 {
        self.explore_after
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    pub(super) fn next_id(&self) -> EndpointId {
        EndpointId(self.ids.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn is_due(&self, now: Time) -> bool {
        now.as_nanos() >= self.due.load(Ordering::Relaxed)
    }

    /// True for the one caller that is to look the endpoints over now; the next turn is
    /// at `next`.
    pub(super) fn take_turn(&self, now: Time, next: Time) -> bool {
        let due = self.due.load(Ordering::Relaxed);
        let next = next.as_nanos();
        now.as_nanos() >= due
            && self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    pub(super) fn is_panicking(&self) -> bool {
        self.panicking.load(Ordering::Relaxed)
    }

    /// Says what was decided about all endpoints; the event tells if that is new.
    pub(super) fn decide(&self, panicking: bool, local_share: f64) -> Option<Event> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share is in 0.0..=1.0"
        )]
        let local = (local_share * f64::from(Self::WHOLE)) as u32;
        self.local.store(local, Ordering::Relaxed);
        if self.panicking.swap(panicking, Ordering::Relaxed) == panicking {
            return None;
        }
        if panicking {
            self.meters.count_panic();
        }
        Some(Event::PanicModeChanged { target: Arc::clone(&self.target), on: panicking })
    }

    pub(super) fn local_share(&self) -> u32 {
        self.local.load(Ordering::Relaxed)
    }

    pub(super) fn publish(&self, census: Census) {
        self.meters.publish(census);
    }

    /// The ledger, if nobody has it now.
    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, Ledger>> {
        match self.ledger.try_lock() {
            Ok(ledger) => Some(ledger),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what happened. The ledger must not be locked.
    pub(super) fn tell(&self, events: &[Event]) {
        for event in events {
            if let Event::EndpointEjected { cause, .. } = event {
                self.meters.count_ejection(cause);
            }
            self.environment.listener.on_event(event);
        }
    }
}

/// What changes the standing of an endpoint.
impl Book {
    /// See [`Ledger::trip`].
    pub(super) fn trip(&self, vitals: &Vitals, charge: Charge, now: Time) {
        let event = self.lock().trip(self, vitals, charge, now);
        self.changed(event.as_slice());
    }

    /// See [`Ledger::restore`].
    pub(super) fn restore(&self, vitals: &Vitals, generation: u32, now: Time) {
        let event = self.lock().restore(self, vitals, generation, now);
        self.changed(event.as_slice());
    }

    /// See [`Ledger::resize`]; the caller tells the events.
    pub(super) fn resize(&self, staying: &[&Vitals], going: &[&Vitals]) -> Vec<Event> {
        let events = self.lock().resize(self, staying, going);
        self.changed(&[]);
        events
    }

    fn changed(&self, events: &[Event]) {
        // The share of healthy ones is another: the next call looks.
        self.due.store(0, Ordering::Relaxed);
        self.tell(events);
    }
}
