//! What can be seen from outside.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::cell::{Cell64, Lock};
use super::super::{Mode, State, Totals};
use super::Machine;
use crate::core::clock::Time;

impl<C: Cell64> Machine<C> {
    pub(in super::super) fn mode(&self) -> Mode {
        self.word().mode()
    }

    pub(in super::super) fn generation(&self) -> u64 {
        self.word().generation()
    }

    /// As the last call left it.
    pub(in super::super) fn state(&self) -> State {
        self.word().state()
    }

    /// As the next call would find it.
    pub(in super::super) fn state_at(&self, now: Time) -> State {
        let word = self.word();
        match (word.mode(), word.state()) {
            (Mode::Normal, State::Open) if now >= self.until() => State::HalfOpen,
            (_, state) => state,
        }
    }

    pub(in super::super) fn totals(&self, now: Time) -> Totals {
        self.window.totals(self.generation(), now)
    }

    pub(in super::super) fn consecutive_failures(&self) -> u64 {
        self.streak.count(self.generation())
    }

    pub(in super::super) fn stale_outcomes(&self) -> u64 {
        self.stale.load(Ordering::Relaxed)
    }

    /// `None` if it is not open, or not by itself.
    pub(in super::super) fn remaining_wait(&self, now: Time) -> Option<Duration> {
        let word = self.word();
        let is_open = (word.mode(), word.state()) == (Mode::Normal, State::Open);
        is_open.then(|| self.until().since(now))
    }

    /// `None` if it does not recover.
    pub(in super::super) fn ramp_share(&self, now: Time) -> Option<f64> {
        let is_ramping = self.word().is_ramping();
        is_ramping.then(|| self.settings.load().ramp_share(self.closed_for(now))).flatten()
    }

    /// In a row, as the next trip would find it.
    pub(in super::super) fn trips(&self, now: Time) -> u32 {
        let is_closed = self.state() == State::Closed;
        let is_forgotten = is_closed && self.closed_for(now) >= self.settings.load().forget_after;
        if is_forgotten { 0 } else { self.seldom.with(|seldom| seldom.trips) }
    }
}
