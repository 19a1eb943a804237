//! When to try again what could not be delivered because a consumer is away.
//!
//! Kinds are kept apart, since each has its own consumers. Postponed events
//! queue up with a little space between them: however many wait, they leave
//! most of the relay's time to what can be delivered, the consumer's return is
//! noticed soon, and it is not flooded then.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use time::OffsetDateTime;

use super::WHILE_AWAY;

/// At most 1,000 postponed events of a kind come due in a second.
const SPACE: Duration = Duration::from_millis(1);

/// What is known about the kinds whose consumers are away.
#[derive(Debug, Default)]
pub(super) struct Pace {
    kinds: HashMap<String, Absence>,
}

/// One batch's view of it: a batch counts as one failure, however large.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    pace: &'a mut Pace,
    now: OffsetDateTime,
    failed: HashSet<String>,
}

#[derive(Debug)]
struct Absence {
    /// Batches in a row that could not be delivered.
    failures: u32,
    /// Before this time the places are taken.
    free: OffsetDateTime,
}

impl Pace {
    pub(super) fn batch(&mut self, now: OffsetDateTime) -> Batch<'_> {
        Batch { pace: self, now, failed: HashSet::new() }
    }
}

impl Batch<'_> {
    /// Notes that the consumers of `kind` answered.
    pub(super) fn reached(&mut self, kind: &str) {
        if !self.failed.contains(kind) {
            self.pace.kinds.remove(kind);
        }
    }

    /// Picks the time of the next attempt for an event of `kind`.
    pub(super) fn postpone(&mut self, kind: &str) -> OffsetDateTime {
        let absence = self
            .pace
            .kinds
            .entry(kind.to_owned())
            .or_insert_with(|| Absence { failures: 0, free: self.now });
        if self.failed.insert(kind.to_owned()) {
            absence.failures = absence.failures.saturating_add(1);
            absence.free = absence.free.max(self.now + WHILE_AWAY.delay(absence.failures));
        }
        let time = absence.free;
        absence.free += SPACE;
        time
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-22 10:00 UTC);

    #[test]
    fn postponed_events_come_due_one_after_the_other() {
        let mut pace = Pace::default();
        let mut batch = pace.batch(NOW);

        let times: Vec<_> = (0..100).map(|_| batch.postpone("order.confirmed")).collect();

        assert!(times[0] <= NOW + WHILE_AWAY.first);
        assert!(times.windows(2).all(|pair| pair[1] == pair[0] + SPACE));
    }

    #[test]
    fn the_places_of_earlier_batches_stay_taken() {
        let mut pace = Pace::default();
        let mut batch = pace.batch(NOW);
        let last = (0..10_000).map(|_| batch.postpone("order.confirmed")).last().unwrap();

        assert!(last < pace.batch(NOW).postpone("order.confirmed"));
    }

    #[test]
    fn an_answer_forgets_the_absence_of_that_kind_only() {
        let mut pace = Pace::default();
        for kind in ["order.confirmed", "user.deleted"] {
            let mut batch = pace.batch(NOW);
            (0..10_000).for_each(|_| _ = batch.postpone(kind));
        }

        pace.batch(NOW).reached("user.deleted");

        let cap = NOW + WHILE_AWAY.cap;
        assert!(pace.batch(NOW).postpone("user.deleted") <= cap);
        assert!(cap < pace.batch(NOW).postpone("order.confirmed"));
    }
}
