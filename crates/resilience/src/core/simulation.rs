//! What the tests of the core need to play a system: events in the order of time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::clock::Time;

/// What is still to happen. What was added first comes first among equals.
#[derive(Debug)]
pub(super) struct Agenda<E> {
    events: BTreeMap<(Time, u64), E>,
    added: u64,
}

impl<E> Agenda<E> {
    pub(super) fn new() -> Self {
        Self { events: BTreeMap::new(), added: 0 }
    }

    pub(super) fn add(&mut self, at: Time, event: E) {
        self.events.insert((at, self.added), event);
        self.added += 1;
    }

    pub(super) fn next(&mut self) -> Option<(Time, E)> {
        self.events.pop_first().map(|((at, _), event)| (at, event))
    }
}

/// The moment so many milliseconds after the origin.
pub(super) fn at_millis(millis: u64) -> Time {
    Time::ZERO + Duration::from_millis(millis)
}
