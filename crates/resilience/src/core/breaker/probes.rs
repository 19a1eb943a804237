//! The calls that find out whether a peer is well again.

use std::time::Duration;

use super::MAX_PROBES;
use crate::core::clock::Time;

/// When each probe that is outstanding began, by its place.
#[derive(Debug, Default)]
pub(super) struct Probes {
    began: [Option<Time>; MAX_PROBES as usize],
    succeeded: u32,
}

impl Probes {
    /// The place of a new probe, if fewer than `limit` are outstanding.
    pub(super) fn begin(&mut self, limit: u32, now: Time) -> Option<usize> {
        let outstanding = self.began.iter().flatten().count();
        let place = self.began.iter().position(Option::is_none)?;
        if outstanding >= limit as usize {
            return None;
        }
        self.began[place] = Some(now);
        Some(place)
    }

    pub(super) fn end(&mut self, place: usize) {
        self.began[place] = None;
    }

    /// How many have succeeded, with this one.
    pub(super) fn succeed(&mut self) -> u32 {
        self.succeeded += 1;
        self.succeeded
    }

    /// How long the oldest that is outstanding has been so.
    pub(super) fn oldest(&self, now: Time) -> Option<Duration> {
        self.began.iter().flatten().min().map(|began| now.since(*began))
    }
}
