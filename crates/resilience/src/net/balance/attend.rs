//! Looking the endpoints over, ten times a second while there are calls: how many are
//! well, who may come back, and who is worse than its peers.

use std::sync::Arc;
use std::time::Duration;

use super::book::Book;
use super::ledger::{Charge, Ledger};
use super::member::{Member, Members};
use super::meters::Census;
use super::picked::Picked;
use super::standing::Phase;
use super::tried::Tried;
use super::vitals::Vitals;
use super::{Balancer, Candidate};
use crate::core::clock::Time;
use crate::net::outlier::{self, Cause};
use crate::net::subset::{Strength, local_share};
use crate::observe::Event;

/// The time between two looks, if nothing happens.
const PERIOD: Duration = Duration::from_millis(100);

impl<C: Candidate> Balancer<C> {
    /// Looks at the endpoints. If one of those that are not healthy may prove itself, the
    /// call that caused this does it, unless it is a second attempt already: it should
    /// not meet two bad ones.
    pub(super) fn attend(
        &self,
        members: &Members<C>,
        tried: &Tried,
        now: Time,
    ) -> Option<Picked<C>> {
        self.attend_now(now);
        if !tried.is_empty() {
            return None;
        }
        let probe = members
            .all
            .iter()
            .filter(|member| may_prove_itself(member, now))
            .min_by_key(|member| member.vitals.standing().until())?;
        let claimed = probe.vitals.standing().claim_probe(now);
        claimed.then(|| Picked::begin_probe(Arc::clone(probe), now))
    }

    pub(super) fn attend_now(&self, now: Time) {
        if !self.book.take_turn(now, now + PERIOD) {
            return;
        }
        // Whoever has it is about to say that the endpoints are due again.
        let Some(mut ledger) = self.book.try_lock() else { return };
        let members = self.members.load();
        let mut events = Vec::new();
        expire_probes(&self.book, &mut ledger, &members, now, &mut events);
        if now >= ledger.sweep_at {
            sweep(&self.book, &mut ledger, &members, now, &mut events);
        }
        let census = self.count(&members, &mut events);
        let changed = std::mem::replace(&mut ledger.census, census) != census;
        drop(ledger);
        if changed {
            self.book.publish(census);
        }
        self.book.tell(&events);
    }

    /// Counts those that are well, and decides what follows for all.
    fn count(&self, members: &Members<C>, events: &mut Vec<Event>) -> Census {
        let (local, others) = members.all.split_at(members.local);
        let mut census = Census::default();
        let mut strength = |members: &[Arc<Member<C>>]| {
            let before = census.healthy;
            for member in members {
                census.add(member);
            }
            Strength { healthy: census.healthy - before, known: members.len() }
        };
        let (local, others) = (strength(local), strength(others));
        let settings = self.book.settings();
        let panicking = settings.outlier.panics(census.healthy, members.all.len());
        let share = local_share(local, others, settings.zone_minimum);
        events.extend(self.book.decide(panicking, share));
        census
    }
}

impl Census {
    pub(super) fn of<C: Candidate>(members: &[Arc<Member<C>>]) -> Self {
        let mut census = Self::default();
        for member in members {
            census.add(member);
        }
        census
    }

    fn add<C: Candidate>(&mut self, member: &Member<C>) {
        let count = match member.vitals.standing().read().phase {
            Phase::Healthy if member.candidate.is_available() => &mut self.healthy,
            Phase::Healthy => &mut self.unavailable,
            Phase::Suspect => &mut self.suspect,
            Phase::Ejected => &mut self.ejected,
            Phase::Removed => return,
        };
        *count += 1;
    }
}

fn may_prove_itself<C: Candidate>(member: &Member<C>, now: Time) -> bool {
    let standing = member.vitals.standing();
    matches!(standing.read().phase, Phase::Suspect | Phase::Ejected)
        && now >= standing.until()
        && standing.probe().is_none()
        && member.candidate.is_available()
}

/// Gives up the calls that were to prove an endpoint and never ended.
fn expire_probes<C>(
    book: &Book,
    ledger: &mut Ledger,
    members: &Members<C>,
    now: Time,
    events: &mut Vec<Event>,
) {
    let timeout = book.settings().outlier.probe_timeout;
    let lost = |member: &&Arc<Member<C>>| {
        let probe = member.vitals.standing().probe();
        probe.is_some_and(|began| now.since(began) >= timeout)
    };
    for member in members.all.iter().filter(lost) {
        let charge = charge(&member.vitals, Cause::Probe);
        events.extend(ledger.trip(book, &member.vitals, charge, now));
    }
}

/// Compares the endpoints by their calls since the last sweep (A50), and forgives those
/// that were well.
fn sweep<C>(
    book: &Book,
    ledger: &mut Ledger,
    members: &Members<C>,
    now: Time,
    events: &mut Vec<Event>,
) {
    let outlier = &book.settings().outlier;
    let (vitals, samples): (Vec<_>, Vec<_>) = members
        .all
        .iter()
        .map(|member| (&member.vitals, member.vitals.take_sample()))
        .filter(|(vitals, _)| vitals.standing().read().phase == Phase::Healthy)
        .unzip();
    for (index, cause) in outlier::outliers(outlier, &samples) {
        if ledger.has_room(book) {
            let charge = charge(vitals[index], cause);
            events.extend(ledger.trip(book, vitals[index], charge, now));
        }
    }
    // Without calls there are no sweeps, but the time counts.
    let sweeps = 1 + now.since(ledger.sweep_at).as_nanos() / outlier.interval.as_nanos();
    let sweeps = u32::try_from(sweeps).unwrap_or(u32::MAX);
    for standing in vitals.iter().map(|vitals| vitals.standing()) {
        if standing.read().phase == Phase::Healthy {
            standing.set_trips(standing.trips().saturating_sub(sweeps));
        }
    }
    ledger.sweep_at = now + outlier.interval;
}

fn charge(vitals: &Vitals, cause: Cause) -> Charge {
    Charge { generation: vitals.standing().read().generation, cause, asked: Duration::ZERO }
}
