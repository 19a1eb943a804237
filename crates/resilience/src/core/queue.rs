//! Who waits for a slot, who gets it, and who is told to go away.
//!
//! The most critical go first. Among equals it is the one who has waited longest, until
//! there is a *standing* queue: one that has not been worked off for a while. Then the
//! newest goes first, since the oldest will not be served in time whatever is done, and
//! so most of those who are served wait for nearly nothing (Maurer, "Fail at Scale",
//! ACM Queue 2015). Whether the queue stands, and when one who waits is given up
//! because of that, is decided as by `CoDel` (RFC 8289): from the time that the oldest
//! has waited, with a target and an interval.
//!
//! Whoever must go, because of that or for lack of room, is of the least critical the
//! one who would be served last. So a class is shed little by little, and all who are in
//! it lose some. A *level* splits a class further: made from the id of a user, it lets
//! the same users be refused as long as it lasts, and the others see nothing of it.

mod codel;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use self::codel::CoDel;
use super::clock::Time;
use crate::policy::Criticality;

/// How long is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The queue stands if the oldest has waited for longer… Default 5 ms.
    pub target: Duration,
    /// … at all times for as long as that. Default 100 ms.
    pub interval: Duration,
    /// Nobody waits for longer. Default 1 s.
    pub longest: Duration,
}

/// How one who waits compares with others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The most critical go first.
    pub criticality: Criticality,
    /// Inside of the class; the highest go first when there is too much to do.
    pub level: u8,
    /// When there is no sense in waiting any more.
    pub deadline: Option<Time>,
    /// How long it waits at most, if that is less than [`Settings::longest`].
    pub patience: Option<Duration>,
}

/// Those who wait.
#[derive(Debug)]
pub struct Queue<T> {
    settings: Settings,
    codel: CoDel,
    /// First the most critical, and then by arrival.
    waiting: BTreeMap<(Rank, Ticket), Waiting<T>>,
    ranks: BTreeMap<Ticket, Rank>,
    ends: BTreeSet<(Time, Ticket)>,
    next: Ticket,
}

/// A place in the queue; later ones are greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// One who got what it waited for.
#[derive(Debug, PartialEq, Eq)]
pub struct Served<T> {
    pub item: T,
    pub waited: Duration,
}

/// One who waited in vain.
#[derive(Debug, PartialEq, Eq)]
pub struct Dropped<T> {
    pub item: T,
    pub criticality: Criticality,
    pub cause: Cause,
    pub waited: Duration,
}

/// Why one waited in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// There was no room, and others are at least as critical.
    Full,
    /// The queue stands.
    Standing,
    /// It waited as long as anyone may.
    TooLong,
    /// Its deadline has passed.
    Expired,
}

type Rank = (Criticality, u8);

#[derive(Debug)]
struct Waiting<T> {
    item: T,
    arrived: Time,
    deadline: Option<Time>,
    end: Time,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            target: Duration::from_millis(5),
            interval: Duration::from_millis(100),
            longest: Duration::from_secs(1),
        }
    }
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 4] = [Self::Full, Self::Standing, Self::TooLong, Self::Expired];

    /// As the value of a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Standing => "standing",
            Self::TooLong => "too_long",
            Self::Expired => "expired",
        }
    }
}

impl<T> Queue<T> {
    /// Nobody waits yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            codel: CoDel::default(),
            waiting: BTreeMap::new(),
            ranks: BTreeMap::new(),
            ends: BTreeSet::new(),
            next: Ticket::default(),
        }
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether the newest goes first.
    pub fn is_standing(&self) -> bool {
        self.codel.is_standing()
    }

    /// Lets `item` wait; at most `bound` may. Whoever has to go for that, be it this
    /// one, is added to `dropped`.
    pub fn push(
        &mut self,
        entry: Entry,
        item: T,
        bound: usize,
        now: Time,
        dropped: &mut Vec<Dropped<T>>,
    ) -> Ticket {
        self.expire(now, dropped);
        let ticket = self.next;
        self.next = Ticket(ticket.0 + 1);
        let rank = (entry.criticality, entry.level);
        let longest = self.settings.longest;
        let longest = now + entry.patience.map_or(longest, |patience| patience.min(longest));
        let end = entry.deadline.map_or(longest, |deadline| deadline.min(longest));
        let waiting = Waiting { item, arrived: now, deadline: entry.deadline, end };
        self.waiting.insert((rank, ticket), waiting);
        self.ranks.insert(ticket, rank);
        self.ends.insert((end, ticket));
        while bound < self.len() {
            self.drop_last(Cause::Full, now, dropped);
        }
        ticket
    }

    /// Who goes next. Whoever has to go without is added to `dropped`.
    pub fn pop(&mut self, now: Time, dropped: &mut Vec<Dropped<T>>) -> Option<Served<T>> {
        self.expire(now, dropped);
        while self.codel.wants_drop(self.standing_for(now), &self.settings, now) {
            self.drop_last(Cause::Standing, now, dropped);
        }
        let &(rank, oldest) = self.waiting.first_key_value()?.0;
        let ticket = if self.is_standing() { self.newest(rank)? } else { oldest };
        let waiting = self.take(ticket)?;
        Some(Served { waited: now.since(waiting.arrived), item: waiting.item })
    }

    /// Takes out one who does not want to wait any more; `None` if it is gone already.
    pub fn remove(&mut self, ticket: Ticket) -> Option<T> {
        self.take(ticket).map(|waiting| waiting.item)
    }

    /// Drops who has waited too long.
    pub fn expire(&mut self, now: Time, dropped: &mut Vec<Dropped<T>>) {
        while let Some(&(end, ticket)) = self.ends.first()
            && end <= now
        {
            self.drop_one(ticket, Cause::TooLong, now, dropped);
        }
    }

    /// How long the oldest has waited. One alone is no queue.
    fn standing_for(&self, now: Time) -> Option<Duration> {
        let (&ticket, &rank) = self.ranks.first_key_value().filter(|_| 1 < self.len())?;
        Some(now.since(self.waiting.get(&(rank, ticket))?.arrived))
    }

    fn newest(&self, rank: Rank) -> Option<Ticket> {
        let of_rank = (rank, Ticket(0))..=(rank, Ticket(u64::MAX));
        self.waiting.range(of_rank).next_back().map(|(&(_, ticket), _)| ticket)
    }

    /// Of the least critical, drops the one who would be served last.
    fn drop_last(&mut self, cause: Cause, now: Time, dropped: &mut Vec<Dropped<T>>) {
        let Some((&(rank, newest), _)) = self.waiting.last_key_value() else {
            return;
        };
        let oldest = || self.waiting.range((rank, Ticket(0))..).next().map(|(key, _)| key.1);
        let ticket = if self.is_standing() { oldest() } else { Some(newest) };
        if let Some(ticket) = ticket {
            self.drop_one(ticket, cause, now, dropped);
        }
    }

    fn drop_one(&mut self, ticket: Ticket, cause: Cause, now: Time, dropped: &mut Vec<Dropped<T>>) {
        let Some(&(criticality, _)) = self.ranks.get(&ticket) else {
            return;
        };
        let Some(Waiting { item, arrived, deadline, .. }) = self.take(ticket) else {
            return;
        };
        let is_expired = deadline.is_some_and(|deadline| deadline <= now);
        let cause = if is_expired { Cause::Expired } else { cause };
        dropped.push(Dropped { item, criticality, cause, waited: now.since(arrived) });
    }

    fn take(&mut self, ticket: Ticket) -> Option<Waiting<T>> {
        let rank = self.ranks.remove(&ticket)?;
        let waiting = self.waiting.remove(&(rank, ticket))?;
        self.ends.remove(&(waiting.end, ticket));
        Some(waiting)
    }
}

#[cfg(test)]
mod tests;
