//! What is known of one endpoint. Every call changes it, and none takes a lock for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::book::Book;
use super::ledger::Charge;
use super::standing::{Phase, Standing};
use super::tried::EndpointId;
use crate::core::clock::{Time, nanos};
use crate::core::outcome::{Health, Verdict};
use crate::net::ewma::{Cost, Load, Recent, Tick};
use crate::net::outlier::{Cause, Sample};

/// The smallest share of the load that a new endpoint gets, of what an old one does.
const NEWBORN: f32 = 0.1;

/// A latency that an endpoint starts with is not below this (1 ms), or the first one of
/// a fast fleet would have to be faster than it can be.
const LEAST_SEED: Duration = Duration::from_millis(1);

/// Alone on its cache lines: what one endpoint's calls write must not slow down those
/// of its neighbour.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Vitals {
    inflight: AtomicU32,
    /// The [`Tick`] when it was last chosen.
    picked: AtomicU32,
    load: Load,
    /// Since the last sweep: successes, and failures in the upper half.
    sample: AtomicU64,
    /// Failures in a row.
    streak: AtomicU32,
    standing: Standing,
    /// When its share of the load is whole.
    mature: AtomicU64,
    id: EndpointId,
    name: Arc<str>,
    book: Arc<Book>,
}

/// One attempt, as the endpoint sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    started: Time,
    generation: u32,
    probe: bool,
    answered: bool,
}

impl Vitals {
    pub(super) fn new(
        name: Arc<str>,
        book: Arc<Book>,
        latency: Option<Duration>,
        now: Time,
    ) -> Self {
        let settings = book.settings();
        let seed = latency.map_or(settings.cold_latency, |latency| latency.max(LEAST_SEED));
        // Where all are new, none has to be spared.
        let mature = latency.map_or(now, |_| now + settings.slow_start);
        Self {
            inflight: AtomicU32::new(0),
            picked: AtomicU32::new(Tick::at(now).bits()),
            load: Load::new(seed, now),
            sample: AtomicU64::new(0),
            streak: AtomicU32::new(0),
            standing: Standing::new(),
            mature: AtomicU64::new(mature.as_nanos()),
            id: book.next_id(),
            name,
            book,
        }
    }

    pub(super) fn id(&self) -> EndpointId {
        self.id
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn now(&self) -> Time {
        self.book.environment().clock.now()
    }

    pub(super) fn inflight(&self) -> u32 {
        self.inflight.load(Ordering::Relaxed)
    }

    /// In seconds.
    pub(super) fn latency(&self, now: Tick) -> f32 {
        self.load.read(self.book.rates(), now).0
    }

    pub(super) fn recent(&self, now: Tick) -> Recent {
        self.load.read(self.book.rates(), now).1
    }

    /// How long the next call would take if it were alone there, in seconds.
    pub(super) fn cost(&self, now: Time) -> Cost {
        self.load.cost(self.book.rates(), Tick::at(now))
    }

    /// When it was last chosen, in ticks before now.
    pub(super) fn unpicked(&self, now: Tick) -> u32 {
        now.since(Tick::from_bits(self.picked.load(Ordering::Relaxed)))
    }

    pub(super) fn begin(&self, probe: bool, now: Time) -> Call {
        self.inflight.fetch_add(1, Ordering::Relaxed);
        let tick = Tick::at(now).bits();
        if self.picked.load(Ordering::Relaxed) != tick {
            self.picked.store(tick, Ordering::Relaxed);
        }
        let generation = self.standing.read().generation;
        Call { started: now, generation, probe, answered: false }
    }

    pub(super) fn answered(&self, call: &mut Call, now: Time) {
        if !call.answered {
            call.answered = true;
            self.load.answered(self.book.rates(), now.since(call.started), now);
        }
    }

    pub(super) fn settle(&self, call: &Call, verdict: &Verdict, now: Time) {
        // Relaxed: a count that only steers; nothing is read in its order.
        self.inflight.fetch_sub(1, Ordering::Relaxed);
        match verdict.health {
            Health::Success => self.succeeded(call, now),
            Health::Failure(_) | Health::Degraded => self.failed(call, verdict, now),
            Health::Ignore => self.abandoned(call, now),
        }
    }

    fn succeeded(&self, call: &Call, now: Time) {
        if !call.answered {
            self.load.answered(self.book.rates(), now.since(call.started), now);
        }
        let standing = self.standing.read();
        if standing.generation != call.generation {
            return;
        }
        self.load.succeeded();
        match standing.phase {
            Phase::Healthy => {
                self.sample.fetch_add(1, Ordering::Relaxed);
                if self.streak.load(Ordering::Relaxed) != 0 {
                    self.streak.store(0, Ordering::Relaxed);
                }
            }
            Phase::Suspect | Phase::Ejected => {
                if now >= self.standing.until() {
                    self.book.restore(self, standing.generation, now);
                }
            }
            Phase::Removed => {}
        }
    }

    fn failed(&self, call: &Call, verdict: &Verdict, now: Time) {
        let standing = self.standing.read();
        if standing.generation != call.generation {
            return;
        }
        let generation = standing.generation;
        let settings = self.book.settings();
        let asked = verdict.hold_off();
        let penalty = settings.penalty.max(asked).max(now.since(call.started));
        let recent = self.load.failed(self.book.rates(), penalty.min(settings.penalty_cap), now);
        match standing.phase {
            Phase::Healthy => {
                self.sample.fetch_add(1 << 32, Ordering::Relaxed);
                let streak = if verdict.health == Health::Degraded {
                    self.streak.load(Ordering::Relaxed)
                } else {
                    self.streak.fetch_add(1, Ordering::Relaxed).saturating_add(1)
                };
                if let Some(cause) = settings.outlier.judge(streak, recent) {
                    self.book.trip(self, Charge { generation, cause, asked }, now);
                }
            }
            Phase::Suspect | Phase::Ejected => {
                if now >= self.standing.until() {
                    let cause = Cause::Probe;
                    self.book.trip(self, Charge { generation, cause, asked }, now);
                }
            }
            Phase::Removed => {}
        }
    }

    fn abandoned(&self, call: &Call, now: Time) {
        if !call.answered {
            self.load.unanswered(self.book.rates(), now.since(call.started), now);
        }
        // No verdict: the next call may try. If this probe was given up as lost, the
        // place belongs to another one by now.
        if call.probe && self.standing.read().generation == call.generation {
            self.standing.release_probe();
        }
    }

    /// One for an old endpoint, and less for a new one.
    #[expect(clippy::cast_precision_loss, reason = "a share, of which two digits matter")]
    pub(super) fn weight(&self, now: Time) -> f32 {
        let left = self.mature.load(Ordering::Relaxed).saturating_sub(now.as_nanos());
        if left == 0 {
            return 1.0;
        }
        let whole = nanos(self.book.settings().slow_start).max(1);
        (1.0 - left as f32 / whole as f32).max(NEWBORN)
    }
}

/// Leaving out, and coming back. The caller holds the ledger.
impl Vitals {
    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// What was counted for the old phase says nothing about the new one.
    pub(super) fn change(&self, phase: Phase, by_peers: bool, until: Time) {
        self.streak.store(0, Ordering::Relaxed);
        self.sample.store(0, Ordering::Relaxed);
        self.standing.change(phase, by_peers, until);
    }

    /// Its failures are forgotten.
    pub(super) fn forgive(&self) {
        self.load.forgive();
    }

    pub(super) fn start_slowly(&self, now: Time) {
        let mature = now + self.book.settings().slow_start;
        self.mature.store(mature.as_nanos(), Ordering::Relaxed);
    }

    /// The calls since the last time it was asked.
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of a word")]
    pub(super) fn take_sample(&self) -> Sample {
        let word = self.sample.swap(0, Ordering::Relaxed);
        Sample { successes: word as u32, failures: (word >> 32) as u32 }
    }
}

impl Call {
    pub(super) fn is_probe(&self) -> bool {
        self.probe
    }
}
