//! What operators do.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::cell::{Cell64, Lock};
use super::super::{Mode, Reason, Rejected, Settings, State};
use super::{Change, Machine, NEVER, Seldom};
use crate::core::clock::{Time, nanos};

impl<C: Cell64> Machine<C> {
    /// `None` if it has this mode already; else what becomes of the state, which may be
    /// what it was.
    pub(in super::super) fn set_mode(&self, mode: Mode, now: Time) -> Option<Change> {
        self.seldom.with(|seldom| {
            let word = self.word();
            if word.mode() == mode {
                return None;
            }
            let state = if mode == Mode::ForcedOpen { State::Open } else { State::Closed };
            *seldom = Seldom::default();
            self.window.sweep();
            self.until.store(now.as_nanos(), Ordering::Relaxed);
            self.closed_at.store(now.as_nanos(), Ordering::Relaxed);
            let returns = (word.mode(), mode) == (Mode::ForcedOpen, Mode::Normal);
            let is_ramping = returns && !self.settings.load().ramp.is_zero();
            self.publish(word.next(mode, state).ramping(is_ramping));
            let (from, to) = (word.state(), state);
            Some(Change { from, to, reason: Reason::Forced, wait: None })
        })
    }

    pub(in super::super) fn reconfigure(&self, settings: Settings) {
        self.seldom.with(|_| {
            self.slow.store(settings.slow.map_or(NEVER, nanos), Ordering::Relaxed);
            if !self.window.is_of(settings.window) {
                self.window.resize(settings.window);
                self.begin_window();
            }
            self.settings.store(Arc::new(settings));
        });
    }

    pub(super) fn rejected_by_force(&self) -> Rejected {
        let retry_after = self.settings.load().open_cap;
        Rejected { retry_after, state: State::Open, mode: Mode::ForcedOpen }
    }

    /// Counts from nothing, if it counts at all: an open breaker will when it closes.
    fn begin_window(&self) {
        let word = self.word();
        if word.state() == State::Closed {
            self.window.sweep();
            let next = word.next(word.mode(), word.state());
            self.publish(next.ramping(word.is_ramping()));
        }
    }
}
