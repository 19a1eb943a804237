//! The state machine, without names, listeners and metrics.
//!
//! One word says how calls are treated. It is changed under a lock, seldom, and read
//! without; what depends on it is written before it, so who has seen the word sees
//! that, too. What happened is handed to the caller, who tells it when no lock is held.

mod closed;
mod half_open;
mod operate;
mod view;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::cell::{Cell64, Lock};
use super::probes::Probes;
use super::ramp::Ramp;
use super::streak::Streak;
use super::window::{Kind, Window};
use super::word::Word;
use super::{Mode, Reason, Rejected, Settings, State};
use crate::core::clock::{Time, nanos};
use crate::core::outcome::{FailureKind, Health, RetrySafety, Verdict};
use crate::core::random::Random;

/// A call that may be made. It must be settled or cancelled, once.
#[derive(Debug)]
#[must_use]
pub(crate) struct Admission {
    /// Without flags, and with the place of a probe.
    word: Word,
    at: Time,
    /// From when on the call is slow, in nanoseconds after `at`; [`NEVER`].
    slow: u64,
}

/// What the caller has to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Note {
    Changed(Change),
    WouldOpen(Reason),
    /// An outcome came too late to say anything.
    Stale,
}

/// A change of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) from: State,
    pub(super) to: State,
    pub(super) reason: Reason,
    /// How long it stays open, if it does by itself.
    pub(super) wait: Option<Duration>,
}

/// Aligned so that a count of references beside it, which is written often, does not
/// share its cache line.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Machine<C: Cell64> {
    /// A [`Word`].
    state: C,
    /// The setting, as in [`Admission::slow`].
    slow: C,
    streak: Streak<C>,
    window: Window<C>,
    /// When an open breaker takes a probe.
    until: C,
    /// When it closed last.
    closed_at: C,
    stale: C,
    settings: ArcSwap<Settings>,
    random: Arc<Random>,
    seldom: C::Lock<Seldom>,
}

/// What changes are made with. All writes to the word but the removal of a flag are
/// made while it is locked.
#[derive(Debug, Default)]
struct Seldom {
    /// In a row.
    trips: u32,
    probes: Probes,
    ramp: Ramp,
}

/// What is known of the call whose outcome opens it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Last {
    pub(super) took: Duration,
    /// How long its peer asks to be left alone.
    pub(super) hold_off: Duration,
}

const NEVER: u64 = u64::MAX;

impl<C: Cell64> Machine<C> {
    /// `settings` were checked; `shards` is a power of two.
    pub(super) fn new(settings: Settings, random: Arc<Random>, shards: usize) -> Self {
        Self {
            state: C::new(Word::FIRST.bits()),
            slow: C::new(settings.slow.map_or(NEVER, nanos)),
            streak: Streak::new(),
            window: Window::new(settings.window, shards),
            until: C::new(0),
            closed_at: C::new(0),
            stale: C::new(0),
            settings: ArcSwap::from_pointee(settings),
            random,
            seldom: Lock::new(Seldom::default()),
        }
    }

    /// Admits a call if there is nothing to think about.
    #[inline]
    pub(super) fn admit_at_once(&self) -> Option<Word> {
        Some(self.word()).filter(|word| word.is_plain())
    }

    /// Admits a call or rejects it.
    pub(super) fn admit(&self, now: Time) -> (Result<Word, Rejected>, Option<Note>) {
        loop {
            let word = self.word();
            let decided = match (word.mode(), word.state()) {
                (Mode::Normal, State::Closed) if word.is_ramping() => {
                    (self.admit_by_ramp(word, now), None)
                }
                (Mode::Normal, State::Closed) | (Mode::Disabled | Mode::MetricsOnly, _) => {
                    (Ok(word), None)
                }
                (Mode::ForcedOpen, _) => (Err(self.rejected_by_force()), None),
                (Mode::Normal, State::Open | State::HalfOpen) => {
                    match self.admit_probe(word, now) {
                        Some(decided) => decided,
                        // Another thread was faster; the word is another one now.
                        None => continue,
                    }
                }
            };
            return decided;
        }
    }

    /// Settles a success that changes nothing; says whether it is one.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "else the admission goes through memory")]
    pub(super) fn settle_at_once(
        &self,
        admission: &Admission,
        verdict: &Verdict,
        now: Time,
    ) -> bool {
        let is_simple = verdict.health == Health::Success
            && admission.word.is_plain()
            && !admission.is_slow(now);
        let is_counted = is_simple && self.count(admission, Kind::Good, now);
        if is_counted {
            self.streak.clear(admission.word.generation());
        }
        is_counted
    }

    /// Settles any other outcome.
    pub(super) fn settle(
        &self,
        admission: &Admission,
        verdict: &Verdict,
        now: Time,
    ) -> Option<Note> {
        match (admission.word.mode(), admission.word.state()) {
            (Mode::Disabled | Mode::ForcedOpen, _) => None,
            (_, State::HalfOpen) => self.settle_probe(admission, verdict, now),
            (_, State::Closed | State::Open) => self.settle_closed(admission, verdict, now),
        }
    }

    /// What it says that a caller did not wait for the end of its call.
    pub(super) fn verdict_of_cancelled(&self, admission: &Admission, now: Time) -> Verdict {
        let elapsed = now.since(admission.at);
        let is_failure = std::thread::panicking()
            || if admission.slow == NEVER {
                let settings = self.settings.load();
                let limit = match admission.word.state() {
                    State::HalfOpen => Some(settings.half_open_max),
                    State::Closed | State::Open => settings.cancel_counts_after,
                };
                limit.is_some_and(|limit| elapsed >= limit)
            } else {
                admission.is_slow(now)
            };
        if is_failure {
            Verdict::failure(FailureKind::Timeout, RetrySafety::Never)
        } else {
            Verdict::IGNORE
        }
    }

    /// An admission by a word that [`admit`](Self::admit) gave. Made apart from it, so
    /// that it need not go through memory.
    #[inline]
    pub(super) fn admission(&self, word: Word, now: Time) -> Admission {
        let word = word.ramping(false).told(false);
        Admission { word, at: now, slow: self.slow.load(Ordering::Relaxed) }
    }

    #[inline]
    fn word(&self) -> Word {
        Word::from_bits(self.state.load(Ordering::Acquire))
    }

    /// Announces a change. Only while the lock is held.
    fn publish(&self, word: Word) {
        // A store would do, but model checkers place a store less exactly.
        self.state.swap(word.bits(), Ordering::Release);
    }

    /// Counts an outcome in the window, unless the generation is over.
    #[inline]
    fn count(&self, admission: &Admission, kind: Kind, now: Time) -> bool {
        let is_current = || self.word().same_generation(admission.word);
        self.window.add(admission.word.generation(), kind, now, is_current)
    }

    fn stale(&self) -> Note {
        self.stale.fetch_add(1, Ordering::Relaxed);
        Note::Stale
    }

    /// Opens, or opens again, after one more trip.
    fn open(&self, seldom: &mut Seldom, from: Word, reason: Reason, last: Last, now: Time) -> Note {
        let wait = self.trip(seldom, last, now);
        self.publish(from.next(from.mode(), State::Open));
        let (from, to) = (from.state(), State::Open);
        Note::Changed(Change { from, to, reason, wait: Some(wait) })
    }

    fn trip(&self, seldom: &mut Seldom, last: Last, now: Time) -> Duration {
        seldom.trips = seldom.trips.saturating_add(1);
        let wait = self.settings.load().wait(seldom.trips, last, &self.random);
        self.until.store((now + wait).as_nanos(), Ordering::Relaxed);
        wait
    }

    fn until(&self) -> Time {
        Time::from_nanos(self.until.load(Ordering::Relaxed))
    }

    fn closed_for(&self, now: Time) -> Duration {
        now.since(Time::from_nanos(self.closed_at.load(Ordering::Relaxed)))
    }
}

impl Admission {
    /// From when on the call is slow, instead of the setting.
    #[inline]
    pub(crate) fn slow_after(mut self, slow: Option<Duration>) -> Self {
        self.slow = slow.map_or(NEVER, nanos);
        self
    }

    fn last(&self, verdict: &Verdict, now: Time) -> Last {
        Last { took: now.since(self.at), hold_off: verdict.hold_off() }
    }

    /// The generation that it is a probe of.
    #[cfg(test)]
    pub(super) fn probe_of(&self) -> Option<u64> {
        let is_probe = self.word.state() == State::HalfOpen;
        is_probe.then(|| self.word.generation())
    }

    #[inline]
    fn is_slow(&self, now: Time) -> bool {
        now.as_nanos().saturating_sub(self.at.as_nanos()) >= self.slow
    }
}
