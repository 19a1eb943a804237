//! What holds whatever happens.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{Picked, Tried};
use super::world::{OUTAGE, Site, World, address, milliseconds};
use crate::net::outlier;
use crate::outcome::{Health, RetrySafety, Verdict};

const ENDPOINTS: u8 = 6;

#[derive(Clone, Debug)]
enum Step {
    Pick,
    /// The call at this place of those in flight ends.
    End(usize, u8),
    Retry(usize),
    Wait(u64),
    Available(u8, bool),
    /// The bits say who is a member.
    Update(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Pick),
        8 => (any::<usize>(), 0_u8..8).prop_map(|(call, end)| Step::End(call, end)),
        1 => any::<usize>().prop_map(Step::Retry),
        3 => prop_oneof![0..50_u64, 500..3000_u64].prop_map(Step::Wait),
        1 => (0..ENDPOINTS, any::<bool>()).prop_map(|(site, is)| Step::Available(site, is)),
        1 => any::<u8>().prop_map(Step::Update),
    ]
}

struct Play {
    world: World,
    members: u8,
    calls: Vec<Picked<Site>>,
}

impl Play {
    fn new() -> Self {
        let world = World::of(ENDPOINTS);
        Self { world, members: (1 << ENDPOINTS) - 1, calls: Vec::new() }
    }

    fn has(&self, number: u8) -> bool {
        self.members >> number & 1 == 1
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Pick => self.pick(&Tried::new()),
            Step::End(call, end) => self.end(call, end),
            Step::Retry(call) => {
                let mut tried = Tried::new();
                if let Some(call) = self.place(call) {
                    tried.insert(self.calls[call].id());
                }
                self.pick(&tried);
            }
            Step::Wait(time) => self.world.clock.advance(milliseconds(time)),
            Step::Available(number, available) => {
                if self.has(number) {
                    self.world.make_available(number, available);
                }
            }
            Step::Update(members) => {
                self.members = members & ((1 << ENDPOINTS) - 1);
                let staying = (0..ENDPOINTS).filter(|number| self.has(*number));
                self.world.update(staying.map(address));
            }
        }
        self.check();
    }

    fn place(&self, call: usize) -> Option<usize> {
        call.checked_rem(self.calls.len())
    }

    fn pick(&mut self, tried: &Tried) {
        // Whatever has to be decided first.
        let balancer = &self.world.balancer;
        let before = self.world.snapshot();
        let Ok(picked) = balancer.pick(tried, self.world.now()) else {
            assert_eq!(self.members, 0, "there is nobody only where nobody is");
            return;
        };
        let name = picked.address().socket.to_string();
        let endpoint = before.endpoints.iter().find(|endpoint| endpoint.address == name);
        let endpoint = endpoint.expect("who went is not chosen");
        let is_better =
            |other: &super::super::EndpointSnapshot| other.state != "ejected" && other.available;
        if endpoint.state == "ejected" && !self.world.snapshot().panicking && !picked.is_probe() {
            assert!(!before.endpoints.iter().any(is_better), "{name} of {before:?}");
        }
        if picked.is_probe() {
            assert_ne!(endpoint.state, "healthy");
            assert_eq!(endpoint.wait_ms, Some(0));
        }
        if tried.contains(picked.id()) {
            let others = before.endpoints.iter().filter(|other| other.address != name);
            assert_eq!(others.filter(|other| is_better(other)).count(), 0);
        }
        if !endpoint.available {
            assert!(before.endpoints.iter().all(|other| !other.available));
        }
        self.calls.push(picked);
    }

    fn end(&mut self, call: usize, end: u8) {
        let Some(call) = self.place(call) else { return };
        let (picked, now) = (self.calls.swap_remove(call), self.world.now());
        match end {
            0 | 1 => picked.settle(&Verdict::SUCCESS, now),
            2 => drop(picked),
            3 => picked.settle(&Verdict::new(Health::Degraded, RetrySafety::Never), now),
            _ => picked.settle(&OUTAGE, now),
        }
    }

    fn check(&self) {
        let ejected = self.world.count("ejected");
        let most = outlier::Settings::default().most_ejected(self.world.balancer.len());
        assert!(ejected <= most, "{ejected} are left out, {most} may be");
        let inflight: u32 =
            self.world.snapshot().endpoints.iter().map(|endpoint| endpoint.inflight).sum();
        assert!(inflight as usize <= self.calls.len());
    }

    /// Everything ends, and all endpoints heal.
    fn finish(mut self) {
        self.calls.clear();
        let sites: Vec<_> = (0..ENDPOINTS).filter(|number| self.has(*number)).collect();
        for site in &sites {
            self.world.make_available(*site, true);
        }
        for _ in 0..200 {
            self.world.clock.advance(milliseconds(500));
            if let Ok(picked) = self.world.balancer.pick(&Tried::new(), self.world.now()) {
                picked.settle(&Verdict::SUCCESS, self.world.now());
            }
        }
        let snapshot = self.world.snapshot();
        assert!(snapshot.endpoints.iter().all(|endpoint| endpoint.inflight == 0));
        assert!(snapshot.endpoints.iter().all(|endpoint| endpoint.state == "healthy"));
        assert!(!snapshot.panicking);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn only_members_are_chosen_and_healthy_ones_first(steps in vec(step(), 1..400)) {
        let mut play = Play::new();
        for step in &steps {
            play.take(step);
        }
        play.finish();
    }
}

#[test]
fn counts_return_to_nothing_when_two_threads_make_a_hundred_thousand_calls() {
    let world = World::of(4);
    std::thread::scope(|scope| {
        for thread in 0..2_u64 {
            let world = &world;
            scope.spawn(move || {
                let random = crate::core::random::Random::seeded(thread);
                for call in 0..50_000_u64 {
                    let picked = world.balancer.pick(&Tried::new(), world.now()).unwrap();
                    match random.below(8) {
                        0 => drop(picked),
                        1 | 2 => picked.settle(&OUTAGE, world.now()),
                        _ => picked.settle(&Verdict::SUCCESS, world.now()),
                    }
                    if call % 100 == 0 {
                        world.clock.advance(milliseconds(1));
                    }
                    if call % 1000 == 0 {
                        let size = u8::try_from(2 + call / 1000 % 3).unwrap();
                        world.update((0..size).map(address));
                    }
                }
            });
        }
    });
    let most = outlier::Settings::default().most_ejected(world.balancer.len());
    assert!(world.count("ejected") <= most);
    assert!(world.snapshot().endpoints.iter().all(|endpoint| endpoint.inflight == 0));
}
