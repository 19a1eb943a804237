//! A circuit breaker: it stops calling a peer that fails, and finds out with a few
//! calls whether it is well again.
//!
//! It opens when there are too many failures in a row, too large a share of failures,
//! or too large a share of slow calls in the time just past. The counts are exact, in
//! buckets of time: an average that is weighted by the gaps between calls would hardly
//! see a burst in which everything fails. It stays open for a random time that grows
//! with each trip, lets a few probes through, and after they succeed admits a growing
//! share of the calls.
//!
//! Nothing here waits or needs a timer. What time brings about is seen by the next
//! call, so that a probe whose end nobody hears of cannot wedge it. The outcome of a
//! call that was admitted before the last change says nothing about the time after
//! it, so it is dropped and counted as stale.
//!
//! While the breaker is closed, a call reads one word when it starts and adds to one
//! when it succeeds: no lock, no allocation.

mod cell;
mod machine;
mod meters;
mod permit;
mod probes;
mod ramp;
mod rejected;
mod rules;
mod settings;
mod snapshot;
mod state;
mod streak;
#[cfg(test)]
mod tests;
mod window;
mod word;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

pub use self::permit::{Held, OwnedPermit, Permit};
pub use self::rejected::Rejected;
pub use self::settings::{MAX_PROBES, Settings, SettingsError};
pub use self::snapshot::Snapshot;
pub use self::state::{Mode, Reason, State};
pub use self::window::Totals;

use self::machine::{Machine, Note};
use self::meters::Meters;
use self::word::Word;
use super::clock::Time;
use super::environment::Environment;
use super::outcome::Verdict;
use super::shard;
use crate::observe::Event;

pub(crate) use self::machine::Admission;

/// Decides which calls to one peer may be made. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Breaker(Arc<Shared>);

struct Shared {
    machine: Machine<AtomicU64>,
    name: Arc<str>,
    environment: Environment,
    meters: Meters,
}

impl Breaker {
    /// A closed breaker. Its name is the target of what it counts and tells.
    pub fn new(
        name: impl Into<Arc<str>>,
        settings: Settings,
        environment: Environment,
    ) -> Result<Self, SettingsError> {
        settings.check(None)?;
        let name = name.into();
        let meters = Meters::new(&name, environment.metrics.as_ref());
        let random = Arc::clone(&environment.random);
        let machine = Machine::new(settings, random, shard::count());
        Ok(Self(Arc::new(Shared { machine, name, environment, meters })))
    }

    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Asks for one call. The permit must hear how it went.
    #[inline]
    pub fn try_acquire(&self, now: Time) -> Result<Permit<'_>, Rejected> {
        self.admit(now).map(|admission| Held::new(self, admission))
    }

    /// As [`try_acquire`](Self::try_acquire), for a permit that outlives this borrow.
    #[inline]
    pub fn try_acquire_owned(&self, now: Time) -> Result<OwnedPermit, Rejected> {
        self.admit(now).map(|admission| Held::new(self.clone(), admission))
    }

    /// What the next call would find: a breaker whose time to stay open has passed is
    /// half-open.
    pub fn state(&self, now: Time) -> State {
        self.0.machine.state_at(now)
    }

    pub fn mode(&self) -> Mode {
        self.0.machine.mode()
    }

    /// Every change of the mode begins anew: the counts are empty, the trips are
    /// forgotten, and calls in flight are no longer of interest. Calls that come back
    /// after [`Mode::ForcedOpen`] do so by the ramp.
    pub fn set_mode(&self, mode: Mode, now: Time) {
        let Some(change) = self.0.machine.set_mode(mode, now) else { return };
        let breaker = Arc::clone(&self.0.name);
        self.0.environment.listener.on_event(&Event::BreakerModeSet { breaker, mode });
        self.tell((change.from != change.to).then_some(Note::Changed(change)));
    }

    /// Takes effect for the calls that are admitted from now on; the state stays. A
    /// window of another length starts empty, and calls in flight are not counted in
    /// it. A breaker that is open stays so for as long as it said.
    pub fn reconfigure(&self, settings: Settings) -> Result<(), SettingsError> {
        settings.check(None)?;
        self.0.machine.reconfigure(settings);
        Ok(())
    }

    /// What has been recorded in the window that ends now.
    pub fn totals(&self, now: Time) -> Totals {
        self.0.machine.totals(now)
    }

    pub fn snapshot(&self, now: Time) -> Snapshot {
        Snapshot::of(&self.0.name, &self.0.machine, now)
    }

    /// As [`try_acquire`](Self::try_acquire), for callers that see to it themselves
    /// that every admission is settled or cancelled. One that is forgotten costs a
    /// probe its place until it counts as lost.
    #[inline]
    pub(crate) fn admit(&self, now: Time) -> Result<Admission, Rejected> {
        let word = match self.0.machine.admit_at_once() {
            Some(word) => word,
            None => self.admit_with_care(now)?,
        };
        Ok(self.0.machine.admission(word, now))
    }

    /// The end of a call.
    #[inline]
    #[expect(clippy::needless_pass_by_value, reason = "an admission is settled only once")]
    pub(crate) fn settle(&self, admission: Admission, verdict: &Verdict, now: Time) {
        self.settled(&admission, verdict, now);
    }

    /// The same, for who does not settle it again.
    #[inline]
    fn settled(&self, admission: &Admission, verdict: &Verdict, now: Time) {
        if !self.0.machine.settle_at_once(admission, verdict, now) {
            self.settle_with_care(admission, verdict, now);
        }
    }

    /// The end of a call of which nobody will hear: its caller gave up, or panicked.
    pub(crate) fn cancel(&self, admission: Admission, now: Time) {
        let verdict = self.0.machine.verdict_of_cancelled(&admission, now);
        self.settle(admission, &verdict, now);
    }

    fn now(&self) -> Time {
        self.0.environment.clock.now()
    }

    #[cold]
    fn admit_with_care(&self, now: Time) -> Result<Word, Rejected> {
        let (word, note) = self.0.machine.admit(now);
        self.tell(note);
        if word.is_err() {
            self.0.meters.rejections.increment();
        }
        word
    }

    #[cold]
    fn settle_with_care(&self, admission: &Admission, verdict: &Verdict, now: Time) {
        self.tell(self.0.machine.settle(admission, verdict, now));
    }

    /// No lock is held here, so a listener may call this breaker.
    fn tell(&self, note: Option<Note>) {
        let Some(note) = note else { return };
        let breaker = Arc::clone(&self.0.name);
        let event = match note {
            Note::Stale => return self.0.meters.stale.increment(),
            Note::WouldOpen(reason) => Event::BreakerWouldOpen { breaker, reason },
            Note::Changed(change) => {
                self.0.meters.changed(&change, || self.0.machine.state());
                let machine::Change { from, to, reason, wait } = change;
                Event::BreakerChanged { breaker, from, to, reason, wait }
            }
        };
        self.0.environment.listener.on_event(&event);
    }
}

impl fmt::Debug for Breaker {
    /// As the last call left it: there is no clock here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("name", &self.0.name)
            .field("state", &self.0.machine.state())
            .field("mode", &self.mode())
            .finish_non_exhaustive()
    }
}
