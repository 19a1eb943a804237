//! What the primary had, and when: how late a replica is can be told by that without a
//! row that somebody writes each second.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// How far back it goes. Whoever is further behind seems to be this late.
const SPAN: Duration = Duration::from_mins(1);
/// How far its entries are apart, so that it has 600 at the most.
const STEP: Duration = Duration::from_millis(100);

/// Positions of the primary, each with the first time that it was heard of.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    entries: VecDeque<(Instant, u64)>,
    last: u64,
}

impl History {
    pub(super) fn note(&mut self, lsn: u64, now: Instant) {
        if lsn <= self.last {
            return;
        }
        self.last = lsn;
        while self.entries.front().is_some_and(|(then, _)| SPAN < now - *then) {
            self.entries.pop_front();
        }
        match self.entries.back_mut() {
            // The earlier time, with the higher place: nobody seems less late than it is.
            Some((then, known)) if now - *then < STEP => *known = lsn,
            _ => self.entries.push_back((now, lsn)),
        }
    }

    /// How many bytes the primary was ahead of `lsn`.
    pub(super) fn ahead_of(&self, lsn: u64) -> u64 {
        self.last.saturating_sub(lsn)
    }

    /// How long ago the primary had what is not at `lsn` yet.
    pub(super) fn age(&self, lsn: u64, now: Instant) -> Duration {
        let missing = self.entries.partition_point(|(_, had)| *had <= lsn);
        self.entries.get(missing).map_or(Duration::ZERO, |(then, _)| now - *then)
    }
}
