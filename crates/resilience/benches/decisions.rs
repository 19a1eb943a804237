//! What each decision costs on the way of a call that goes well. The time is given, as
//! it is by the stack, which reads the clock once.
//!
//! Figures of two threads mean something only on a machine that is idle but for them:
//! where they take turns on a core, there is nothing to contend for.

use std::cell::Cell;
use std::time::Duration;

use divan::{Bencher, black_box};
use trellis_resilience::clock::Time;
use trellis_resilience::core::budget::{RETRY, RetryBudget, Settings};
use trellis_resilience::core::hedge::HedgeBudget;
use trellis_resilience::core::latency::{Latency, Quantile};
use trellis_resilience::core::random::Random;
use trellis_resilience::core::rate::{Gcra, KeyedGcra};
use trellis_resilience::core::throttle::AdaptiveThrottle;
use trellis_resilience::observe::{Metrics, Recorder};

const NOW: Time = Time::from_nanos(60_000_000_000);
const THREADS: [usize; 2] = [1, 2];

/// Long enough for threads to be at it together for nearly all of a sample: waking one
/// up takes longer than a hundred thousand decisions.
const SAMPLE: u32 = 2_000_000;

fn main() {
    divan::main();
}

#[divan::bench(threads = THREADS, sample_count = 20, sample_size = SAMPLE)]
fn budget_deposit_when_full(bencher: Bencher<'_, '_>) {
    let budget = RetryBudget::default();
    bencher.bench(|| black_box(&budget).deposit(black_box(NOW)));
}

/// A deposit for each of ten calls pays for one retry, so both change the word.
#[divan::bench(threads = THREADS, sample_count = 20, sample_size = SAMPLE)]
fn budget_deposit_and_withdraw(bencher: Bencher<'_, '_>) {
    let budget = RetryBudget::new(Settings { ratio: 1.0, ..Settings::default() });
    assert!(budget.try_withdraw(RETRY, NOW));
    bencher.bench(|| {
        black_box(&budget).deposit(black_box(NOW));
        black_box(&budget).try_withdraw(RETRY, black_box(NOW))
    });
}

#[divan::bench(threads = THREADS, sample_count = 20, sample_size = SAMPLE)]
fn budget_refusal(bencher: Bencher<'_, '_>) {
    let budget = RetryBudget::default();
    while budget.try_withdraw(RETRY, NOW) {}
    bencher.bench(|| black_box(&budget).try_withdraw(RETRY, black_box(NOW)));
}

#[divan::bench(threads = THREADS, sample_count = 20, sample_size = SAMPLE)]
fn hedge_deposit_and_hedge(bencher: Bencher<'_, '_>) {
    let most = Settings { ratio: 1.0, ..Settings::default() };
    let (hedges, retries) = (HedgeBudget::new(1.0), RetryBudget::new(most));
    bencher.bench(|| {
        black_box(&hedges).deposit(black_box(NOW));
        black_box(&retries).deposit(black_box(NOW));
        black_box(&hedges).try_hedge(&retries, RETRY, black_box(NOW))
    });
}

/// Time must move here: a step of the window that is full is not written to any more.
#[divan::bench(threads = THREADS, sample_count = 20, sample_size = SAMPLE)]
fn throttle_admit_and_accepted(bencher: Bencher<'_, '_>) {
    let (throttle, random) = (AdaptiveThrottle::default(), Random::seeded(1));
    bencher.bench(|| {
        let now = a_microsecond_later();
        let admitted = black_box(&throttle).admit(now, &random);
        black_box(&throttle).accepted(now);
        admitted
    });
}

/// What the moving of time adds to that.
#[divan::bench(threads = THREADS, sample_count = 20, sample_size = SAMPLE)]
fn time_alone(bencher: Bencher<'_, '_>) {
    bencher.bench(a_microsecond_later);
}

/// Than what it said to this thread before.
fn a_microsecond_later() -> Time {
    thread_local! {
        static NANOS: Cell<u64> = const { Cell::new(NOW.as_nanos()) };
    }
    let nanos = NANOS.get() + 1_000;
    NANOS.set(nanos);
    black_box(Time::from_nanos(nanos))
}

#[divan::bench(threads = THREADS, sample_count = 20, sample_size = SAMPLE)]
fn gcra_check(bencher: Bencher<'_, '_>) {
    let gcra = Gcra::new(1e9, u32::MAX);
    bencher.bench(|| black_box(&gcra).check(black_box(NOW)));
}

#[divan::bench(threads = THREADS, sample_count = 20, sample_size = SAMPLE)]
fn gcra_refusal(bencher: Bencher<'_, '_>) {
    let gcra = Gcra::new(1.0, 1);
    assert!(gcra.check(NOW).is_ok());
    bencher.bench(|| black_box(&gcra).check(black_box(NOW)));
}

#[divan::bench(threads = THREADS, sample_count = 20, sample_size = SAMPLE)]
fn gcra_check_of_a_known_key(bencher: Bencher<'_, '_>) {
    let gcra = KeyedGcra::<String>::new(1e9, u32::MAX, 10_000);
    bencher.bench(|| black_box(&gcra).check(black_box("checkout"), black_box(NOW)));
}

/// Two threads drop samples, which is cheaper than to record them.
#[divan::bench(threads = THREADS, sample_count = 20, sample_size = SAMPLE)]
fn latency_record(bencher: Bencher<'_, '_>) {
    let latency = Latency::default();
    let duration = Duration::from_micros(12_345);
    bencher.bench(|| black_box(&latency).record(black_box(duration), black_box(NOW)));
}

#[divan::bench(threads = THREADS, sample_count = 20, sample_size = SAMPLE)]
fn latency_quantile(bencher: Bencher<'_, '_>) {
    let latency = Latency::default();
    for _ in 0..100 {
        latency.record(Duration::from_micros(12_345), NOW);
    }
    bencher.bench(|| black_box(&latency).quantile(Quantile::P95, black_box(NOW)));
}

#[divan::bench(threads = THREADS, sample_count = 20, sample_size = SAMPLE)]
fn recorder_count(bencher: Bencher<'_, '_>) {
    let counter = Metrics::counter(&Recorder::default(), "calls", &[]);
    bencher.bench(|| black_box(&counter).increment());
}

#[divan::bench(threads = THREADS, sample_count = 20, sample_size = SAMPLE)]
fn recorder_histogram(bencher: Bencher<'_, '_>) {
    let histogram = Metrics::histogram(&Recorder::default(), "seconds", &[]);
    bencher.bench(|| black_box(&histogram).record(black_box(0.012_345)));
}
