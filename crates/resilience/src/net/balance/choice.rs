//! One choice among the endpoints of a moment.

use std::sync::Arc;

use super::Candidate;
use super::book::Book;
use super::member::{Member, Members};
use super::tried::Tried;
use crate::core::clock::Time;
use crate::net::ewma::{Cost, Tick};

/// What a choice is made from.
#[derive(Debug)]
pub(super) struct Choice<'a, C> {
    pub(super) book: &'a Book,
    pub(super) members: &'a Members<C>,
    pub(super) tried: &'a Tried,
    pub(super) now: Time,
}

/// What an endpoint has to be.
#[derive(Clone, Copy, Debug)]
struct Demand {
    available: bool,
    admitted: bool,
    untried: bool,
}

/// The demands, the best first. One that was tried comes before one that is left out,
/// since that one would be worse; nothing is worse than one that cannot be reached.
const DEMANDS: [Demand; 6] = [
    Demand { available: true, admitted: true, untried: true },
    Demand { available: true, admitted: true, untried: false },
    Demand { available: true, admitted: false, untried: true },
    Demand { available: true, admitted: false, untried: false },
    Demand { available: false, admitted: false, untried: true },
    Demand { available: false, admitted: false, untried: false },
];

/// Pairs that are drawn before all endpoints are looked at.
const DRAWS: u32 = 3;

/// What the next call to an endpoint would meet.
#[derive(Clone, Copy, Debug)]
struct Burden {
    /// With itself.
    calls: u32,
    cost: Cost,
    /// What it gets of the calls that others get.
    weight: f32,
    /// When it was last chosen, in ticks before now.
    unpicked: u32,
}

impl Burden {
    /// By the calls alone where the latencies differ by no more than chance makes them; else
    /// by the time until all of them are done. Who is equal by the calls, as all are when
    /// there are few, takes turns: by chance, few calls are spread unevenly.
    fn is_less_than(self, other: Self) -> bool {
        if !self.cost.is_like(other.cost) {
            return self.time() < other.time();
        }
        if self.calls == other.calls {
            return self.is_whole() && other.is_whole() && self.unpicked > other.unpicked;
        }
        self.calls < other.calls
    }

    /// One that is spared would always be the one whose turn it is.
    fn is_whole(self) -> bool {
        self.weight >= 1.0
    }

    #[expect(clippy::cast_precision_loss, reason = "a number of calls")]
    fn time(self) -> f32 {
        self.calls as f32 * self.cost.seconds()
    }
}

type Chosen<'a, C> = Option<&'a Arc<Member<C>>>;

impl<'a, C: Candidate> Choice<'a, C> {
    pub(super) fn make(&self) -> Chosen<'a, C> {
        let draw = self.book.environment().random.next_u64();
        let place = self.place(draw >> 6);
        // One draw of 64.
        if draw.is_multiple_of(64)
            && let Some(member) = self.neglected(place)
        {
            return Some(member);
        }
        self.pair(place, draw >> 22).or_else(|| self.any())
    }

    pub(super) fn has_other(&self) -> bool {
        self.members.all.iter().any(|member| self.meets(member, DEMANDS[0]))
    }

    /// The zone that the call goes to.
    fn place(&self, draw: u64) -> &'a [Arc<Member<C>>] {
        let (local, others) = self.members.all.split_at(self.members.local);
        if local.is_empty() || others.is_empty() {
            return &self.members.all;
        }
        let draw = draw % u64::from(Book::WHOLE);
        if draw < u64::from(self.book.local_share()) { local } else { others }
    }

    /// The better one of two at random.
    fn pair(&self, place: &'a [Arc<Member<C>>], mut draw: u64) -> Chosen<'a, C> {
        let demand = DEMANDS[0];
        if let [] | [_] = place {
            return place.first().filter(|member| self.meets(member, demand));
        }
        for _ in 0..DRAWS {
            let (a, b) = two_of(place.len(), draw);
            let (a, b) = (&place[a], &place[b]);
            if self.meets(a, demand) && self.meets(b, demand) {
                return Some(self.better(a, b));
            }
            draw = self.book.environment().random.next_u64();
        }
        self.among(place, demand)
    }

    /// Whoever meets the highest demand that someone meets.
    fn any(&self) -> Chosen<'a, C> {
        DEMANDS.into_iter().find_map(|demand| self.among(&self.members.all, demand))
    }

    /// The better one of two at random of those that meet the demand.
    fn among(&self, place: &'a [Arc<Member<C>>], demand: Demand) -> Chosen<'a, C> {
        let fitting = || place.iter().filter(|member| self.meets(member, demand));
        match fitting().count() {
            0 => None,
            1 => fitting().next(),
            count => {
                let (a, b) = two_of(count, self.book.environment().random.next_u64());
                // The availability may have changed since it was counted.
                let first = fitting().nth(a.min(b))?;
                Some(fitting().nth(a.max(b)).map_or(first, |second| self.better(first, second)))
            }
        }
    }

    /// The one that was not chosen for the longest time, if that is too long.
    fn neglected(&self, place: &'a [Arc<Member<C>>]) -> Chosen<'a, C> {
        let tick = Tick::at(self.now);
        let unpicked = |member: &Arc<Member<C>>| member.vitals.unpicked(tick);
        let longest = place
            .iter()
            .filter(|member| self.meets(member, DEMANDS[0]))
            .max_by_key(|member| unpicked(member))?;
        (unpicked(longest) > self.book.explore_after()).then_some(longest)
    }

    fn meets(&self, member: &Member<C>, demand: Demand) -> bool {
        let admitted = || self.book.is_panicking() || !member.vitals.standing().is_ejected();
        (!demand.admitted || admitted())
            && (!demand.untried || !self.tried.contains(member.vitals.id()))
            && (!demand.available || member.candidate.is_available())
    }

    /// The first one if they are equal; which that is, is random. A new one is passed over
    /// as often as it is to be spared.
    fn better(&self, a: &'a Arc<Member<C>>, b: &'a Arc<Member<C>>) -> &'a Arc<Member<C>> {
        let [at_a, at_b] = [a, b].map(|member| self.burden(member));
        let (better, other, burden) =
            if at_b.is_less_than(at_a) { (b, a, at_b) } else { (a, b, at_a) };
        let is_spared =
            !burden.is_whole() && !self.book.environment().random.chance(f64::from(burden.weight));
        if is_spared { other } else { better }
    }

    fn burden(&self, member: &Member<C>) -> Burden {
        let vitals = &member.vitals;
        Burden {
            calls: vitals.inflight() + 1,
            cost: vitals.cost(self.now),
            weight: vitals.weight(self.now),
            unpicked: vitals.unpicked(Tick::at(self.now)),
        }
    }
}

/// Two different places of `count`, which is at least two, from 42 bits of chance.
fn two_of(count: usize, draw: u64) -> (usize, usize) {
    const BITS: u32 = 21;
    let pick = |draw: u64, below: usize| {
        let draw = draw & ((1 << BITS) - 1);
        ((draw * below as u64) >> BITS) as usize
    };
    let first = pick(draw, count);
    let second = pick(draw >> BITS, count - 1);
    (first, if second < first { second } else { second + 1 })
}
