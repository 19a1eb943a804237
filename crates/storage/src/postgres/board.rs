//! What is known of the servers of one cluster, from their answers to the watch.
//!
//! Nothing here talks to a server. What was known of a replica is never more than it has,
//! so a reader that picks one by it needs no question of its own.

mod history;
mod view;

use std::time::Duration;

use tokio::time::Instant;
use trellis_consistency::Position;

use self::{
    history::History,
    view::{Role, View},
};

pub(super) use view::{Answer, Change, Ejection, Lag, Route, Silence};

/// A replica is taken out that is further behind than both of these.
const MAX_BYTES: u64 = 1 << 20;
const MAX_TIME: Duration = Duration::from_secs(2);
/// After so many questions without an answer a server is out.
const MAX_FAILED: u32 = 3;
/// After so many good answers a replica is back.
const MIN_GOOD: u32 = 5;

#[derive(Debug)]
pub(super) struct Board {
    views: Vec<View>,
    history: History,
    /// The highest timeline that any server was heard of.
    timeline: u32,
    primary: Option<usize>,
    /// Who was it last.
    last_primary: Option<usize>,
    /// The highest position that this process wrote.
    written: Position,
    /// The highest that somebody wrote or asked for.
    wanted: Position,
    /// Less than this is read by nobody.
    floor: Position,
    turn: usize,
}

impl Board {
    pub(super) fn new(servers: usize) -> Self {
        Self {
            views: vec![View::unheard(); servers],
            history: History::default(),
            timeline: 0,
            primary: None,
            last_primary: None,
            written: Position::default(),
            wanted: Position::default(),
            floor: Position::default(),
            turn: 0,
        }
    }

    /// Takes in what `server` answered, or that it did not.
    pub(super) fn hear(
        &mut self,
        server: usize,
        answer: Result<Answer, Silence>,
        now: Instant,
    ) -> Option<Change> {
        self.views[server].is_heard = true;
        self.views[server].is_suspect = false;
        match answer {
            Err(silence) => self.miss(server, silence),
            Ok(Answer { is_replica: false, at }) => self.hear_primary(server, at, now),
            Ok(Answer { is_replica: true, at }) => self.hear_replica(server, at, now),
        }
    }

    fn miss(&mut self, server: usize, silence: Silence) -> Option<Change> {
        let view = &mut self.views[server];
        view.failed = view.failed.saturating_add(1);
        view.good = 0;
        // What comes back may have other files.
        view.at = Position::default();
        let is_out = MAX_FAILED <= view.failed;
        match view.role {
            // A primary that is slow is still the only one there is.
            Role::Primary if silence == Silence::Slow => {}
            Role::Primary | Role::Doubted if !is_out => view.role = Role::Doubted,
            Role::Primary | Role::Doubted => view.role = Role::Unknown,
            Role::Replica | Role::Unknown => {}
        }
        self.elect();
        let view = &mut self.views[server];
        if view.role == Role::Replica && is_out && view.out.is_none() {
            view.out = Some(Ejection::Unreachable);
            return Some(Change::Ejected(Ejection::Unreachable));
        }
        None
    }

    fn hear_primary(&mut self, server: usize, at: Position, now: Instant) -> Option<Change> {
        let is_old = at.timeline < self.timeline;
        let view = &mut self.views[server];
        view.failed = 0;
        view.good = 0;
        view.at = at;
        view.lag = Lag::default();
        view.out = Some(Ejection::Unreachable);
        // A primary that another was promoted over must not be written to.
        view.role = if is_old { Role::Unknown } else { Role::Primary };
        if self.timeline < at.timeline {
            self.timeline = at.timeline;
            self.history = History::default();
            for (other, view) in self.views.iter_mut().enumerate() {
                if other != server && matches!(view.role, Role::Primary | Role::Doubted) {
                    view.role = Role::Unknown;
                }
            }
        }
        self.elect();
        if self.primary != Some(server) {
            return None;
        }
        self.history.note(at.lsn, now);
        let last = self.last_primary.replace(server);
        last.is_some_and(|last| last != server).then_some(Change::FailedOver)
    }

    fn hear_replica(&mut self, server: usize, at: Position, now: Instant) -> Option<Change> {
        let lag = Lag { bytes: self.history.ahead_of(at.lsn), time: self.history.age(at.lsn, now) };
        let cause = if at.timeline < self.timeline {
            Some(Ejection::Timeline)
        } else if MAX_BYTES < lag.bytes && MAX_TIME < lag.time {
            Some(Ejection::Lag)
        } else {
            None
        };
        let view = &mut self.views[server];
        view.role = Role::Replica;
        view.failed = 0;
        view.at = at;
        view.lag = lag;
        view.good = if cause.is_none() { view.good.saturating_add(1) } else { 0 };
        let change = match (view.out, cause) {
            (None, Some(cause)) => Some(Change::Ejected(cause)),
            (Some(_), None) if MIN_GOOD <= view.good => Some(Change::Reinstated),
            _ => None,
        };
        match change {
            Some(Change::Reinstated) => view.out = None,
            _ => view.out = cause.or(view.out),
        }
        self.elect();
        change
    }

    /// Of two that say they are it, the one that was there first stays: they are no
    /// cluster, or its timelines told them apart.
    fn elect(&mut self) {
        let is_primary = |server: usize| self.views[server].role == Role::Primary;
        if !self.primary.is_some_and(is_primary) {
            self.primary = (0..self.views.len()).find(|server| is_primary(*server));
        }
    }

    /// A unit of work failed on a server. If it was taken for the primary, nobody else is
    /// sent there until it says again that it is it.
    pub(super) fn doubt(&mut self, server: usize) {
        self.views[server].is_suspect = true;
        if self.views[server].role == Role::Primary {
            self.views[server].role = Role::Doubted;
            self.elect();
        }
    }

    pub(super) fn primary(&self) -> Option<usize> {
        self.primary
    }

    /// Whether nobody can take `server` for the primary any more.
    pub(super) fn is_deposed(&self, server: usize) -> bool {
        !matches!(self.views[server].role, Role::Primary | Role::Doubted)
    }

    /// Whether a commit at `position` may be lost, as it went to a primary that another
    /// was promoted over.
    pub(super) fn is_outdated(&self, position: Position) -> bool {
        position.timeline < self.timeline
    }

    pub(super) fn is_out(&self, server: usize) -> bool {
        self.views[server].role != Role::Replica || self.views[server].out.is_some()
    }

    pub(super) fn lag(&self, server: usize) -> Lag {
        self.views[server].lag
    }

    /// Finds a replica that has `needed`, a different one each time.
    pub(super) fn route(&mut self, needed: Position) -> Route {
        self.turn = self.turn.wrapping_add(1);
        let needed = needed.max(self.floor);
        let well = || (0..self.views.len()).filter(|server| !self.is_out(*server));
        let fresh = || well().filter(|server| self.views[*server].at.has(needed));
        let count = fresh().count().max(1);
        match fresh().nth(self.turn % count) {
            Some(server) => Route::Replica(server),
            None if well().next().is_some() => Route::Wait,
            None => Route::None,
        }
    }

    /// From now on nobody reads less than `position`.
    pub(super) fn raise_floor(&mut self, position: Position) -> bool {
        self.floor = position.max(self.floor);
        self.want(position)
    }

    /// Notes what somebody asks for, and whether a replica that is well does not have it.
    pub(super) fn want(&mut self, position: Position) -> bool {
        self.wanted = position.max(self.wanted);
        (0..self.views.len()).any(|server| self.is_outstanding(server))
    }

    pub(super) fn wrote(&mut self, position: Position) -> bool {
        self.written = position.max(self.written);
        self.want(position)
    }

    pub(super) fn written(&self) -> Position {
        self.written
    }

    /// Whether `server` is on its way to what somebody asked for.
    pub(super) fn is_outstanding(&self, server: usize) -> bool {
        !self.is_out(server) && !self.views[server].at.has(self.wanted)
    }

    /// Whether it is about to be known if `server` is still there.
    pub(super) fn is_in_question(&self, server: usize) -> bool {
        let view = &self.views[server];
        view.is_suspect || (1..MAX_FAILED).contains(&view.failed)
    }

    /// Whether all have been asked.
    pub(super) fn is_heard(&self) -> bool {
        self.views.iter().all(|view| view.is_heard)
    }
}

#[cfg(test)]
mod tests;
