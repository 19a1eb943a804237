//! How many calls may be in flight at once.
//!
//! A [`Limiter`] finds the number by itself: it watches how long calls take and lets in
//! as many as the system behind it can work on, and a few more, but not those who would
//! only wait. A [`Bulkhead`] is told the number.
//!
//! Neither queues; both only count. What is let in holds a slot and gives it back when
//! it is dropped, however the call ends.

mod baseline;
mod bulkhead;
mod controller;
mod histogram;
mod settings;
mod trend;
mod vegas;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;

use serde::Serialize;

use self::controller::{Controller, Plan, Window};
use self::histogram::Histogram;
use super::clock::{Clock, Time};
use super::environment::Environment;
use super::random::Random;

pub use self::bulkhead::{Bulkhead, Place};
pub use self::settings::{Settings, SettingsError};

/// A limit that adapts. Cheap to clone; all clones are one.
///
/// Taking a slot and giving it back are a few atomic steps. Once in a window, which is
/// 1 s to 30 s, one of the calls that end computes the limit anew.
#[derive(Clone, Debug)]
pub struct Limiter(Arc<Shared>);

/// The right to be in flight, which dropping gives back.
///
/// A slot that is dropped without [`Self::finish`] belongs to a call that was cut: its
/// caller went away, or its time ran out. If it had taken longer than nine of ten calls
/// take, it counts as [`Sample::Dropped`], else nothing can be learned from it.
#[must_use = "dropping it gives the slot back"]
#[derive(Debug)]
pub struct Slot {
    /// `None` once it was given back.
    limiter: Option<Limiter>,
    admission: Admission,
}

/// What a call says about the load when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sample {
    /// It did its work, and the time it took counts.
    Completed,
    /// It was given up for lack of an answer.
    Dropped,
    /// Nothing: it was refused at once, or waited for something else.
    Ignored,
}

/// What there is to know about a limiter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Snapshot {
    /// How many calls may be in flight.
    pub limit: usize,
    /// How many are.
    pub inflight: usize,
    /// The 90th percentile of the latency in the last window, in seconds.
    pub latency: Option<f64>,
    /// The same as it would be without a queue.
    pub baseline: Option<f64>,
    /// Whether fewer calls are let in for a moment, to measure the baseline.
    pub is_probing: bool,
}

/// A [`Slot`] that its holder must not forget.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admission {
    began: Time,
}

/// A count that many threads write has a cache line of its own, or reading what stands
/// beside it would be as slow as writing.
#[derive(Debug)]
#[repr(align(128))]
struct Alone<T>(T);

#[derive(Debug)]
struct Shared {
    inflight: Alone<AtomicUsize>,
    limit: AtomicUsize,
    ceiling: AtomicUsize,
    /// The most calls in flight in this window.
    peak: AtomicUsize,
    dropped: AtomicU64,
    window_ends: AtomicU64,
    measured_from: AtomicU64,
    /// The latency of the last window in nanoseconds, [`UNKNOWN`] before there is one.
    latency: AtomicU64,
    latencies: Histogram,
    controller: Mutex<Controller>,
    clock: Arc<dyn Clock>,
    random: Arc<Random>,
}

const UNKNOWN: u64 = u64::MAX;

/// Which latency stands for all.
const PERCENTILE: f64 = 0.9;

impl Limiter {
    /// Begins with [`Settings::initial`]. Fails if the settings contradict themselves.
    pub fn new(settings: Settings, environment: &Environment) -> Result<Self, SettingsError> {
        settings.check()?;
        let now = environment.clock.now();
        let ends = now + settings.shortest_window;
        Ok(Self(Arc::new(Shared {
            inflight: Alone(AtomicUsize::new(0)),
            limit: AtomicUsize::new(settings.initial),
            ceiling: AtomicUsize::new(settings.initial),
            peak: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            window_ends: AtomicU64::new(ends.as_nanos()),
            measured_from: AtomicU64::new(0),
            latency: AtomicU64::new(UNKNOWN),
            latencies: Histogram::new(),
            controller: Mutex::new(Controller::new(settings, now)),
            clock: Arc::clone(&environment.clock),
            random: Arc::clone(&environment.random),
        })))
    }

    /// `None` if as many calls as may be are in flight.
    pub fn try_acquire(&self, now: Time) -> Option<Slot> {
        let admission = self.admit(now)?;
        Some(Slot { limiter: Some(self.clone()), admission })
    }

    /// How many calls may be in flight.
    pub fn limit(&self) -> usize {
        self.0.limit.load(Ordering::Relaxed)
    }

    /// How many are.
    pub fn inflight(&self) -> usize {
        self.0.inflight.0.load(Ordering::SeqCst)
    }

    /// What nine of ten calls in the last window did not exceed; `None` before there is
    /// one.
    pub fn latency(&self) -> Option<Duration> {
        let latency = self.0.latency.load(Ordering::Relaxed);
        (latency != UNKNOWN).then(|| Duration::from_nanos(latency))
    }

    pub fn snapshot(&self) -> Snapshot {
        let controller = self.0.controller.lock().unwrap_or_else(PoisonError::into_inner);
        Snapshot {
            limit: self.limit(),
            inflight: self.inflight(),
            latency: self.latency().map(|latency| latency.as_secs_f64()),
            baseline: controller.baseline().map(|baseline| baseline.as_secs_f64()),
            is_probing: controller.is_probing(),
        }
    }

    /// As [`Self::try_acquire`], but the caller has to [`settle`](Self::settle) or to
    /// [`cancel`](Self::cancel) it.
    pub(crate) fn admit(&self, now: Time) -> Option<Admission> {
        let shared = &*self.0;
        let ceiling = shared.ceiling.load(Ordering::Relaxed);
        let step = |inflight| (inflight < ceiling).then_some(inflight + 1);
        // In one order with whatever else is counted that way: whoever queues after a
        // refusal looks again, and whoever leaves looks at the queue. One sees the other.
        let before =
            shared.inflight.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, step).ok()?;
        if shared.peak.load(Ordering::Relaxed) <= before {
            shared.peak.fetch_max(before + 1, Ordering::Relaxed);
        }
        Some(Admission { began: now })
    }

    pub(crate) fn settle(&self, admission: Admission, sample: Sample, now: Time) {
        let shared = &*self.0;
        match sample {
            Sample::Completed => shared.record(admission.began, now),
            Sample::Dropped => {
                shared.dropped.fetch_add(1, Ordering::Relaxed);
            }
            Sample::Ignored => {}
        }
        shared.inflight.0.fetch_sub(1, Ordering::SeqCst);
        if shared.window_ends.load(Ordering::Relaxed) <= now.as_nanos() {
            shared.close_window(now);
        }
    }

    pub(crate) fn cancel(&self, admission: Admission, now: Time) {
        let elapsed = now.since(admission.began).as_nanos();
        let is_long = u128::from(self.0.latency.load(Ordering::Relaxed)) <= elapsed;
        self.settle(admission, if is_long { Sample::Dropped } else { Sample::Ignored }, now);
    }
}

impl Shared {
    fn record(&self, began: Time, now: Time) {
        if self.measured_from.load(Ordering::Relaxed) <= began.as_nanos() {
            self.latencies.record(now.since(began));
        }
    }

    #[cold]
    fn close_window(&self, now: Time) {
        // Whoever finds it locked knows that another one is at it.
        let mut controller = match self.controller.try_lock() {
            Ok(controller) => controller,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        // It may just have been done.
        if now.as_nanos() < self.window_ends.load(Ordering::Relaxed) {
            return;
        }
        let calls = self.latencies.total() + self.dropped.load(Ordering::Relaxed);
        if controller.is_due(calls, now) {
            let plan = controller.close(&self.take_window(), now, &self.random);
            self.follow(plan);
        } else {
            let ends = controller.postponed(now);
            self.window_ends.store(ends.as_nanos(), Ordering::Relaxed);
        }
    }

    fn take_window(&self) -> Window {
        let latencies = self.latencies.take();
        let latency = latencies.quantile(PERCENTILE);
        if let Some(latency) = latency {
            self.latency.store(super::clock::nanos(latency), Ordering::Relaxed);
        }
        Window {
            latency,
            completed: latencies.total(),
            dropped: self.dropped.swap(0, Ordering::Relaxed),
            peak: self.peak.swap(self.inflight.0.load(Ordering::Relaxed), Ordering::Relaxed),
        }
    }

    fn follow(&self, plan: Plan) {
        self.limit.store(plan.limit, Ordering::Relaxed);
        self.ceiling.store(plan.ceiling, Ordering::Relaxed);
        self.measured_from.store(plan.measured_from.as_nanos(), Ordering::Relaxed);
        self.window_ends.store(plan.window_ends.as_nanos(), Ordering::Relaxed);
    }
}

impl Slot {
    /// Gives it back, and says what the call says about the load.
    pub fn finish(mut self, sample: Sample, now: Time) {
        if let Some(limiter) = self.limiter.take() {
            limiter.settle(self.admission, sample, now);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(limiter) = self.limiter.take() {
            limiter.cancel(self.admission, limiter.0.clock.now());
        }
    }
}

#[cfg(test)]
mod tests;
