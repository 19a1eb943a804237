//! A fleet that is only numbers, and callers that keep it busy.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::{Balancer, Candidate, Picked, Settings, Snapshot, Tried};
use crate::Environment;
use crate::clock::{Clock, Manual, Time};
use crate::core::random::Random;
use crate::net::Address;
use crate::observe::{Event, Listener, NoMetrics};
use crate::outcome::{FailureKind, RetrySafety, Verdict};

pub(super) const OUTAGE: Verdict = Verdict::failure(FailureKind::Server, RetrySafety::Never);

/// An endpoint; by its switch it can be out of reach.
#[derive(Clone, Debug)]
pub(super) struct Site(Arc<AtomicBool>);

/// How an endpoint answers: after what time, and what. `None`: the caller gives up.
pub(super) type Answer = (Duration, Option<Verdict>);

type Behaviour = Box<dyn FnMut(Time) -> Answer + Send + Sync>;

#[derive(Debug, Default)]
pub(super) struct Heard(Mutex<Vec<Event>>);

/// A balancer, its endpoints by number, and what is going on.
pub(super) struct World {
    pub(super) balancer: Balancer<Site>,
    pub(super) clock: Arc<Manual>,
    pub(super) heard: Arc<Heard>,
    sites: Mutex<HashMap<Address, Site>>,
    behaviours: HashMap<SocketAddr, Behaviour>,
    /// When each call ends; the number makes the order certain.
    ends: BinaryHeap<Reverse<(Time, u64)>>,
    calls: HashMap<u64, (Picked<Site>, Option<Verdict>)>,
    started: u64,
    counts: HashMap<SocketAddr, u64>,
}

pub(super) fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(super) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(super) fn address(number: u8) -> Address {
    SocketAddr::from(([10, 0, 0, number], 50051)).into()
}

/// Always answers so.
pub(super) fn always(
    latency: u64,
    verdict: Verdict,
) -> impl FnMut(Time) -> Answer + Send + Sync + 'static {
    move |_| (milliseconds(latency), Some(verdict))
}

pub(super) fn healthy(latency: u64) -> impl FnMut(Time) -> Answer + Send + Sync + 'static {
    always(latency, Verdict::SUCCESS)
}

/// Each answer is a failure with this probability.
pub(super) fn flaky(
    latency: u64,
    share: f64,
) -> impl FnMut(Time) -> Answer + Send + Sync + 'static {
    let random = Random::seeded(11);
    move |_| {
        let verdict = if random.chance(share) { OUTAGE } else { Verdict::SUCCESS };
        (milliseconds(latency), Some(verdict))
    }
}

impl Candidate for Site {
    fn is_available(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Listener for Heard {
    fn on_event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl Heard {
    pub(super) fn count(&self, of: impl Fn(&Event) -> bool) -> usize {
        self.0.lock().unwrap().iter().filter(|event| of(event)).count()
    }
}

impl World {
    pub(super) fn new(settings: Settings) -> Self {
        Self::observed(settings, |_| {})
    }

    pub(super) fn observed(settings: Settings, change: impl FnOnce(&mut Environment)) -> Self {
        let (clock, heard) = (Arc::new(Manual::new()), Arc::new(Heard::default()));
        clock.advance(seconds(1));
        let mut environment = Environment {
            clock: Arc::clone(&clock) as _,
            random: Arc::new(Random::seeded(42)),
            listener: Arc::clone(&heard) as _,
            metrics: Arc::new(NoMetrics),
        };
        change(&mut environment);
        Self {
            balancer: Balancer::new("inventory", settings, environment).unwrap(),
            clock,
            heard,
            sites: Mutex::default(),
            behaviours: HashMap::new(),
            ends: BinaryHeap::new(),
            calls: HashMap::new(),
            started: 0,
            counts: HashMap::new(),
        }
    }

    /// With the default settings and this many endpoints, which answer in 20 ms.
    pub(super) fn of(count: u8) -> Self {
        Self::with(count, Settings::default())
    }

    pub(super) fn with(count: u8, settings: Settings) -> Self {
        let mut world = Self::new(settings);
        world.update((0..count).map(address));
        for number in 0..count {
            world.behave(number, healthy(20));
        }
        world
    }

    pub(super) fn update(&self, addresses: impl IntoIterator<Item = Address>) {
        let addresses: Vec<_> = addresses.into_iter().collect();
        self.balancer.update(&addresses, |address| {
            let site = Site(Arc::new(AtomicBool::new(true)));
            self.sites.lock().unwrap().insert(address.clone(), site.clone());
            site
        });
    }

    pub(super) fn behave(
        &mut self,
        number: u8,
        behaviour: impl FnMut(Time) -> Answer + Send + Sync + 'static,
    ) {
        self.behaviours.insert(address(number).socket, Box::new(behaviour));
    }

    pub(super) fn make_available(&self, number: u8, available: bool) {
        self.sites.lock().unwrap()[&address(number)].0.store(available, Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    pub(super) fn pick(&self) -> Picked<Site> {
        self.balancer.pick(&Tried::new(), self.now()).unwrap()
    }

    /// One call to the endpoint, which is chosen whatever it takes.
    pub(super) fn call(&self, number: u8, verdict: &Verdict) {
        self.pick_certain(number).settle(verdict, self.now());
    }

    pub(super) fn pick_certain(&self, number: u8) -> Picked<Site> {
        // Those that are in the way are held, not given up.
        let mut held = Vec::new();
        for _ in 0..10_000 {
            let picked = self.pick();
            if picked.address().socket == address(number).socket {
                for other in held {
                    Picked::settle(other, &Verdict::IGNORE, self.now());
                }
                return picked;
            }
            held.push(picked);
        }
        panic!("{number} is never chosen");
    }

    /// Starts callers who make one call after the other.
    pub(super) fn start(&mut self, callers: usize) {
        (0..callers).for_each(|_| self.begin());
    }

    /// Lets them go on, and counts the calls of each endpoint anew.
    pub(super) fn run(&mut self, duration: Duration) {
        self.counts.clear();
        let end = self.now() + duration;
        while let Some(Reverse((time, call))) = self.ends.peek().copied() {
            if time > end {
                break;
            }
            self.ends.pop();
            self.clock.advance(time.since(self.now()));
            let (picked, verdict) = self.calls.remove(&call).unwrap();
            match verdict {
                Some(verdict) => picked.settle(&verdict, time),
                None => drop(picked),
            }
            self.begin();
        }
        self.clock.advance(end.since(self.now()));
    }

    fn begin(&mut self) {
        let now = self.now();
        let picked = self.balancer.pick(&Tried::new(), now).expect("there is always one");
        let socket = picked.address().socket;
        let (latency, verdict) = self.behaviours.get_mut(&socket).unwrap()(now);
        *self.counts.entry(socket).or_default() += 1;
        self.ends.push(Reverse((now + latency, self.started)));
        self.calls.insert(self.started, (picked, verdict));
        self.started += 1;
    }

    /// The part of the calls of the last run that went to the endpoint.
    #[expect(clippy::cast_precision_loss, reason = "a number of calls")]
    pub(super) fn share(&self, number: u8) -> f64 {
        let total: u64 = self.counts.values().sum();
        let count = self.counts.get(&address(number).socket).copied().unwrap_or_default();
        count as f64 / total as f64
    }

    pub(super) fn calls(&self) -> u64 {
        self.counts.values().sum()
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.balancer.snapshot(self.now())
    }

    pub(super) fn state(&self, number: u8) -> &'static str {
        let name = address(number).socket.to_string();
        let endpoints = self.snapshot().endpoints;
        endpoints.iter().find(|endpoint| endpoint.address == name).unwrap().state
    }

    pub(super) fn count(&self, state: &str) -> usize {
        self.snapshot().endpoints.iter().filter(|endpoint| endpoint.state == state).count()
    }
}
