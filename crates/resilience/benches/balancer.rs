//! What it costs to choose an endpoint, and to learn from the answer.
//!
//! Time is moved by 10 µs with each call, as at 100 000 calls a second, so that all
//! that has to happen in time happens.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use divan::{AllocProfiler, Bencher};
use trellis_resilience::Environment;
use trellis_resilience::clock::Time;
use trellis_resilience::net::Address;
use trellis_resilience::net::balance::{Balancer, Candidate, Settings, Tried};
use trellis_resilience::outcome::{FailureKind, RetrySafety, Verdict};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const ENDPOINTS: [u8; 3] = [2, 16, 100];

#[derive(Debug)]
struct Peer;

impl Candidate for Peer {
    fn is_available(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Fleet {
    balancer: Balancer<Peer>,
    nanos: AtomicU64,
}

impl Fleet {
    fn new(endpoints: u8) -> Self {
        let settings = Settings { subset: usize::from(endpoints), ..Settings::default() };
        let balancer = Balancer::new("bench", settings, Environment::default()).expect("valid");
        let address = |number| Address::from(SocketAddr::from(([10, 0, 0, number], 50051)));
        let addresses: Vec<_> = (0..endpoints).map(address).collect();
        balancer.update(&addresses, |_| Peer);
        Self { balancer, nanos: AtomicU64::new(1_000_000_000) }
    }

    fn now(&self) -> Time {
        Time::from_nanos(self.nanos.fetch_add(10_000, Ordering::Relaxed))
    }
}

fn main() {
    divan::main();
}

/// The choice alone.
#[divan::bench(args = ENDPOINTS)]
fn pick(bencher: Bencher<'_, '_>, endpoints: u8) {
    let (fleet, tried) = (Fleet::new(endpoints), Tried::new());
    bencher.bench(|| fleet.balancer.pick(&tried, fleet.now()));
}

/// A call that succeeds.
#[divan::bench(args = ENDPOINTS, threads = [1, 2])]
fn pick_and_settle(bencher: Bencher<'_, '_>, endpoints: u8) {
    let (fleet, tried) = (Fleet::new(endpoints), Tried::new());
    bencher.bench(|| {
        let now = fleet.now();
        let picked = fleet.balancer.pick(&tried, now).expect("there are endpoints");
        picked.settle(&Verdict::SUCCESS, now);
    });
}

/// A call of ten that fails, and never several in a row for long.
#[divan::bench(args = ENDPOINTS)]
fn pick_and_settle_with_failures(bencher: Bencher<'_, '_>, endpoints: u8) {
    const FAILURE: Verdict = Verdict::failure(FailureKind::Server, RetrySafety::Never);
    let (fleet, tried) = (Fleet::new(endpoints), Tried::new());
    let calls = AtomicU64::new(0);
    bencher.bench(|| {
        let now = fleet.now();
        let picked = fleet.balancer.pick(&tried, now).expect("there are endpoints");
        let fails = calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(10);
        picked.settle(if fails { &FAILURE } else { &Verdict::SUCCESS }, now);
    });
}
