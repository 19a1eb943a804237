//! Chooses which endpoint of a fleet takes the next call.
//!
//! Of two endpoints taken at random (Mitzenmacher, "The power of two choices", 2001) the one
//! with fewer calls in flight is chosen where their latencies are alike, and of as many the
//! one that was not chosen for longer; else the one where the call is likely to be done first:
//! the recent latency, with what recent failures are worth, times the calls that are out there
//! already.
//! Endpoints that fail are left out for a while, within bounds that keep a fault of
//! everything from leaving nobody; see [`outlier`](super::outlier). If it prefers a
//! zone, or uses only some of many endpoints, see [`subset`].
//!
//! There is no timer and no task: what has to happen in time is done by the first call
//! that comes after it. Picking takes no lock and allocates nothing.

mod attend;
mod book;
mod choice;
mod ledger;
mod member;
mod meters;
mod picked;
mod settings;
mod snapshot;
mod standing;
mod tried;
mod vitals;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use self::book::Book;
use self::choice::Choice;
use self::member::{Member, Members};
use self::meters::Census;
use super::{Address, subset};
use crate::core::clock::Time;
use crate::core::environment::Environment;
use crate::observe::Event;

pub use self::picked::Picked;
pub use self::settings::{Settings, SettingsError};
pub use self::snapshot::{EndpointSnapshot, Snapshot};
pub use self::tried::{EndpointId, Tried};

/// What a [`Balancer`] has to know of an endpoint.
pub trait Candidate: fmt::Debug + Send + Sync {
    /// Whether a call that it gets now can be sent soon: not while it waits before it
    /// tries to connect again. It is asked often and must be quick.
    fn is_available(&self) -> bool;
}

/// The endpoints of one target, and who of them takes the next call.
#[derive(Debug)]
pub struct Balancer<C> {
    members: ArcSwap<Members<C>>,
    book: Arc<Book>,
    /// Held while the members are changed, so that two changes do not undo each other.
    updating: Mutex<()>,
}

/// No endpoint is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no endpoint is known")]
pub struct NoEndpoints;

impl<C: Candidate> Balancer<C> {
    /// Without endpoints at first. `target` is the name for metrics and events.
    pub fn new(
        target: impl Into<Arc<str>>,
        settings: Settings,
        environment: Environment,
    ) -> Result<Self, SettingsError> {
        settings.check()?;
        Ok(Self {
            members: ArcSwap::from_pointee(Members::default()),
            book: Arc::new(Book::new(target.into(), settings, environment)),
            updating: Mutex::new(()),
        })
    }

    pub fn target(&self) -> &Arc<str> {
        self.book.target()
    }

    /// How many endpoints are in use.
    pub fn len(&self) -> usize {
        self.members.load().all.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Chooses an endpoint for a call that was at those in `tried` before. They are
    /// only chosen again if no other is well.
    ///
    /// An endpoint that is not available, or left out, is chosen only if there is no
    /// better one; so it fails only if none is known. Such a call can wait until
    /// [`Picked::endpoint`] has become available.
    pub fn pick(&self, tried: &Tried, now: Time) -> Result<Picked<C>, NoEndpoints> {
        let members = self.members.load();
        if self.book.is_due(now)
            && let Some(probe) = self.attend(&members, tried, now)
        {
            return Ok(probe);
        }
        let choice = Choice { book: &self.book, members: &members, tried, now };
        let member = choice.make().ok_or(NoEndpoints)?;
        Ok(Picked::begin(Arc::clone(member), now))
    }

    /// Whether there is an endpoint that can take a call now. This looks at all of
    /// them.
    pub fn is_available(&self) -> bool {
        self.members.load().all.iter().any(|member| member.candidate.is_available())
    }

    /// Whether a call that was at those in `tried` could go to another endpoint that is
    /// well. This looks at all of them.
    pub fn has_other(&self, tried: &Tried) -> bool {
        let members = self.members.load();
        Choice { book: &self.book, members: &members, tried, now: Time::ZERO }.has_other()
    }

    /// All that are in use.
    pub fn endpoints(&self) -> Vec<C>
    where
        C: Clone,
    {
        self.members.load().all.iter().map(|member| member.candidate.clone()).collect()
    }

    /// Uses `addresses`, or a [subset](subset::choose) of them. Endpoints whose address
    /// stays keep all that is known of them; calls to those that go end as they will.
    /// `make` makes the new ones; it is called under a lock and must not come back here.
    pub fn update(&self, addresses: &[Address], make: impl Fn(&Address) -> C) {
        let now = self.book.environment().clock.now();
        let settings = self.book.settings();
        let zone = settings.zone.as_deref();
        let chosen = subset::choose(addresses, zone, settings.client, settings.subset);

        let updating = self.updating.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.members.load_full();
        let mut leaving: HashMap<&Address, &Arc<Member<C>>> =
            old.all.iter().map(|member| (&member.address, member)).collect();
        let seed = old.typical_latency(now);
        let mut added = 0;
        let all = chosen.iter().map(|address| {
            leaving.remove(address).map_or_else(
                || {
                    added += 1;
                    Arc::new(Member::new(address, make(address), &self.book, seed, now))
                },
                Arc::clone,
            )
        });
        let members = Members::new(all.collect(), zone);
        let (total, removed) = (members.all.len(), leaving.len());
        if added == 0 && removed == 0 {
            return;
        }
        let staying: Vec<_> = members.all.iter().map(|member| &member.vitals).collect();
        let going: Vec<_> = leaving.values().map(|member| &member.vitals).collect();
        let mut events = self.book.resize(&staying, &going);
        drop((staying, going));
        self.members.store(Arc::new(members));
        drop(updating);

        events.insert(
            0,
            Event::EndpointsChanged { target: Arc::clone(self.target()), added, removed, total },
        );
        self.book.tell(&events);
        self.attend_now(now);
    }

    /// What is known of the endpoints, for people.
    pub fn snapshot(&self, now: Time) -> Snapshot {
        Snapshot::of(&self.book, &self.members.load(), now)
    }

    /// Brings the gauges up to date, which else only calls do.
    pub fn publish(&self) {
        self.book.publish(Census::of(&self.members.load().all));
    }
}
