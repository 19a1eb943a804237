//! While calls pass: what they say, and when it is enough.

use std::sync::atomic::Ordering;

use super::super::cell::{Cell64, Lock};
use super::super::window::{BUCKETS, Kind};
use super::super::word::Word;
use super::super::{Mode, Reason, Rejected};
use super::{Admission, Last, Machine, Note, Seldom};
use crate::core::clock::Time;
use crate::core::outcome::{Health, Verdict};

impl<C: Cell64> Machine<C> {
    /// Admits a growing share of the calls, or of the rate that there was, until the
    /// ramp is over.
    pub(super) fn admit_by_ramp(&self, word: Word, now: Time) -> Result<Word, Rejected> {
        let settings = self.settings.load();
        let closed_for = self.closed_for(now);
        let Some(share) = settings.ramp_share(closed_for) else {
            self.remove_flag(word, word.ramping(false));
            return Ok(word);
        };
        let is_drawn = self.random.chance(share);
        if self.seldom.with(|seldom| seldom.ramp.admits(is_drawn, closed_for, settings.ramp)) {
            return Ok(word);
        }
        let rest = settings.ramp.saturating_sub(closed_for);
        let retry_after = rest.min(settings.open_base);
        Err(Rejected { retry_after, state: word.state(), mode: word.mode() })
    }

    pub(super) fn settle_closed(
        &self,
        admission: &Admission,
        verdict: &Verdict,
        now: Time,
    ) -> Option<Note> {
        let is_good = match verdict.health {
            Health::Success => true,
            Health::Failure(_) | Health::Degraded => false,
            Health::Ignore => return None,
        };
        let is_slow = admission.is_slow(now);
        if !self.count(admission, Kind::new(is_good, is_slow), now) {
            return Some(self.stale());
        }
        let generation = admission.word.generation();
        let in_a_row = match verdict.health {
            Health::Failure(_) => self.streak.grow(generation),
            Health::Success => {
                self.streak.clear(generation);
                0
            }
            Health::Degraded | Health::Ignore => self.streak.count(generation),
        };
        if is_good && !is_slow {
            return None;
        }
        self.judge(admission.word, in_a_row, admission.last(verdict, now), now)
    }

    fn judge(&self, admitted: Word, in_a_row: u64, last: Last, now: Time) -> Option<Note> {
        // Of two threads that count a failure each and then add up, at least one must
        // see both.
        C::fence();
        let totals = self.window.totals(admitted.generation(), now);
        let reason = self.settings.load().reason_to_open(in_a_row, totals);
        let Some(reason) = reason else {
            let word = self.word();
            if word.is_told() {
                self.remove_flag(word, word.told(false));
            }
            return None;
        };
        self.seldom.with(|seldom| {
            let word = self.word();
            // Else another thread has opened it for the same outcomes.
            if !word.same_generation(admitted) {
                return None;
            }
            if self.closed_for(now) >= self.settings.load().forget_after {
                *seldom = Seldom::default();
            }
            if word.mode() == Mode::MetricsOnly {
                return self.would_open(seldom, word, reason, last, now);
            }
            seldom.ramp.note(self.busiest_rate(admitted.generation(), now));
            Some(self.open(seldom, word, reason, last, now))
        })
    }

    /// Calls a second, in the tenth of the window that had the most.
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than a double holds")]
    fn busiest_rate(&self, generation: u64, now: Time) -> f64 {
        let calls = self.window.busiest(generation, now) as f64;
        calls * BUCKETS as f64 / self.settings.load().window.as_secs_f64()
    }

    /// Tells it once, and again only after the cause has passed and the wait that
    /// there would have been is over.
    fn would_open(
        &self,
        seldom: &mut Seldom,
        word: Word,
        reason: Reason,
        last: Last,
        now: Time,
    ) -> Option<Note> {
        if word.is_told() || now < self.until() {
            return None;
        }
        self.trip(seldom, last, now);
        self.closed_at.store(self.until().as_nanos(), Ordering::Relaxed);
        self.publish(word.told(true));
        Some(Note::WouldOpen(reason))
    }

    /// A flag belongs to its generation, so it does not matter if a change comes first.
    fn remove_flag(&self, word: Word, without: Word) {
        let (old, new) = (word.bits(), without.bits());
        // Whoever was faster has removed it, or has taken the next generation.
        let _ = self.state.compare_exchange(old, new, Ordering::Release, Ordering::Relaxed);
    }
}
