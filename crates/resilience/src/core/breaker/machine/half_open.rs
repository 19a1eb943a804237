//! While it is open, and while probes find out whether to close.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::cell::{Cell64, Lock};
use super::super::probes::Probes;
use super::super::word::Word;
use super::super::{Mode, Reason, Rejected, State};
use super::{Admission, Change, Last, Machine, Note, Seldom};
use crate::core::clock::Time;
use crate::core::outcome::{Health, Verdict};

impl<C: Cell64> Machine<C> {
    /// `seen` is open or half-open. `None` if it is neither any more.
    pub(super) fn admit_probe(
        &self,
        seen: Word,
        now: Time,
    ) -> Option<(Result<Word, Rejected>, Option<Note>)> {
        let wait = self.until().since(now);
        if seen.state() == State::Open && !wait.is_zero() {
            return Some((Err(rejected(State::Open, wait)), None));
        }
        self.seldom.with(|seldom| {
            let word = self.word();
            match (word.mode(), word.state()) {
                (Mode::Normal, State::Open) if now >= self.until() => {
                    let (word, note) = self.half_open(seldom, word);
                    Some((self.begin_probe(seldom, word, now), Some(note)))
                }
                (Mode::Normal, State::HalfOpen) => match self.lost_probe(seldom, word, now) {
                    None => Some((self.begin_probe(seldom, word, now), None)),
                    lost => {
                        let wait = self.until().since(now);
                        Some((Err(rejected(State::Open, wait)), lost))
                    }
                },
                _ => None,
            }
        })
    }

    pub(super) fn settle_probe(
        &self,
        admission: &Admission,
        verdict: &Verdict,
        now: Time,
    ) -> Option<Note> {
        self.seldom.with(|seldom| {
            let word = self.word();
            if !word.same_generation(admission.word) {
                let is_outcome = verdict.health != Health::Ignore;
                return is_outcome.then(|| self.stale());
            }
            // Nobody may have asked since it was lost; that must make no difference.
            if let Some(lost) = self.lost_probe(seldom, word, now) {
                return Some(lost);
            }
            seldom.probes.end(admission.word.place());
            match verdict.health {
                Health::Ignore => None,
                Health::Success => {
                    let enough = seldom.probes.succeed() >= self.settings.load().probes;
                    enough.then(|| self.close(seldom, word, now))
                }
                Health::Failure(_) | Health::Degraded => {
                    let last = admission.last(verdict, now);
                    Some(self.open(seldom, word, Reason::ProbeFailed, last, now))
                }
            }
        })
    }

    fn half_open(&self, seldom: &mut Seldom, from: Word) -> (Word, Note) {
        seldom.probes = Probes::default();
        let word = from.next(from.mode(), State::HalfOpen);
        self.publish(word);
        let (from, to) = (from.state(), word.state());
        (word, Note::Changed(Change { from, to, reason: Reason::WaitOver, wait: None }))
    }

    fn begin_probe(&self, seldom: &mut Seldom, word: Word, now: Time) -> Result<Word, Rejected> {
        let settings = self.settings.load();
        if let Some(place) = seldom.probes.begin(settings.probes, now) {
            return Ok(word.with_place(place));
        }
        let age = seldom.probes.oldest(now).unwrap_or_default();
        let rest = settings.half_open_max.saturating_sub(age);
        Err(rejected(State::HalfOpen, rest.min(settings.open_base)))
    }

    /// Opens again if a probe has been outstanding for too long.
    fn lost_probe(&self, seldom: &mut Seldom, word: Word, now: Time) -> Option<Note> {
        let limit = self.settings.load().half_open_max;
        let is_lost = seldom.probes.oldest(now).is_some_and(|age| age >= limit);
        is_lost.then(|| self.open(seldom, word, Reason::ProbeLost, Last::default(), now))
    }

    fn close(&self, seldom: &mut Seldom, from: Word, now: Time) -> Note {
        seldom.probes = Probes::default();
        seldom.ramp.begin();
        self.window.sweep();
        self.closed_at.store(now.as_nanos(), Ordering::Relaxed);
        let is_ramping = !self.settings.load().ramp.is_zero();
        let word = from.next(from.mode(), State::Closed).ramping(is_ramping);
        self.publish(word);
        let (from, to) = (from.state(), word.state());
        Note::Changed(Change { from, to, reason: Reason::Recovered, wait: None })
    }
}

fn rejected(state: State, retry_after: Duration) -> Rejected {
    Rejected { retry_after, state, mode: Mode::Normal }
}
