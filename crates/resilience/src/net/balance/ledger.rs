//! Who is left out, counted exactly.

use std::sync::Arc;
use std::time::Duration;

use super::book::Book;
use super::meters::Census;
use super::standing::Phase;
use super::vitals::Vitals;
use crate::core::clock::Time;
use crate::net::outlier::Cause;
use crate::observe::Event;

/// Locked only when an endpoint is left out or comes back, and when all are looked
/// over. What it does is told by the events that it returns, once it is unlocked.
#[derive(Debug)]
pub(super) struct Ledger {
    known: usize,
    ejected: usize,
    pub(super) sweep_at: Time,
    pub(super) census: Census,
}

/// Why an endpoint should be left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge {
    /// That of the endpoint when it failed: if it is another now, this is old.
    pub(super) generation: u32,
    pub(super) cause: Cause,
    /// How long the peer itself asked to be left alone.
    pub(super) asked: Duration,
}

impl Ledger {
    pub(super) fn new(sweep_at: Time) -> Self {
        Self { known: 0, ejected: 0, sweep_at, census: Census::default() }
    }

    /// Whether one more may be left out.
    pub(super) fn has_room(&self, book: &Book) -> bool {
        self.ejected < book.settings().outlier.most_ejected(self.known)
    }

    /// Leaves an endpoint out, or only suspects it if too many are. `None` if it is only
    /// suspected, or if another change came first.
    pub(super) fn trip(
        &mut self,
        book: &Book,
        vitals: &Vitals,
        charge: Charge,
        now: Time,
    ) -> Option<Event> {
        let Charge { generation, cause, asked } = charge;
        let standing = vitals.standing();
        let before = standing.read();
        if before.generation != generation || before.phase == Phase::Removed {
            return None;
        }
        let times = standing.trips().saturating_add(1);
        let by_peers = cause.is_by_peers() || (cause == Cause::Probe && before.by_peers);
        let random = &book.environment().random;
        let duration = book.settings().outlier.duration(by_peers, times, asked, random);
        let was_out = before.phase == Phase::Ejected;
        let is_out = was_out || self.has_room(book);
        if is_out && !was_out {
            self.ejected += 1;
        }
        standing.set_trips(times);
        let phase = if is_out { Phase::Ejected } else { Phase::Suspect };
        vitals.change(phase, by_peers, now + duration);
        is_out.then(|| Event::EndpointEjected {
            target: Arc::clone(book.target()),
            endpoint: Arc::clone(vitals.name()),
            cause: cause.as_str(),
            duration,
        })
    }

    /// Uses an endpoint again that proved itself in this generation.
    pub(super) fn restore(
        &mut self,
        book: &Book,
        vitals: &Vitals,
        generation: u32,
        now: Time,
    ) -> Option<Event> {
        let before = vitals.standing().read();
        if before.generation != generation {
            return None;
        }
        vitals.change(Phase::Healthy, false, now);
        vitals.forgive();
        (before.phase == Phase::Ejected).then(|| {
            self.ejected -= 1;
            vitals.start_slowly(now);
            returned(book, vitals)
        })
    }

    /// Counts those that stay or are new, and no more those that go. If too many of
    /// those that stay are left out now, the ones that would return first do.
    pub(super) fn resize(
        &mut self,
        book: &Book,
        staying: &[&Vitals],
        going: &[&Vitals],
    ) -> Vec<Event> {
        for vitals in going {
            if vitals.standing().is_ejected() {
                self.ejected -= 1;
            }
            vitals.change(Phase::Removed, false, Time::ZERO);
        }
        self.known = staying.len();
        let mut ejected: Vec<&Vitals> =
            staying.iter().copied().filter(|vitals| vitals.standing().is_ejected()).collect();
        ejected.sort_by_key(|vitals| vitals.standing().until());
        let most = book.settings().outlier.most_ejected(self.known);
        ejected.truncate(ejected.len().saturating_sub(most));
        self.ejected -= ejected.len();
        let suspect = |vitals: &Vitals| {
            let standing = vitals.standing();
            vitals.change(Phase::Suspect, standing.read().by_peers, standing.until());
            returned(book, vitals)
        };
        ejected.into_iter().map(suspect).collect()
    }
}

fn returned(book: &Book, vitals: &Vitals) -> Event {
    Event::EndpointReturned {
        target: Arc::clone(book.target()),
        endpoint: Arc::clone(vitals.name()),
    }
}
