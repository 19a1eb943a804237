//! A call that succeeds while the breaker is closed.

use divan::{Bencher, black_box};
use failsafe::{CircuitBreaker as _, Config};
use trellis_resilience::clock::{Clock as _, Monotonic, Time};
use trellis_resilience::outcome::Verdict;

use super::{SAMPLE, THREADS, succeed};

#[divan::bench(threads = THREADS, sample_size = SAMPLE)]
fn bare(bencher: Bencher<'_, '_>) {
    bencher.bench(succeed);
}

#[divan::bench(threads = THREADS, sample_size = SAMPLE)]
fn trellis(bencher: Bencher<'_, '_>) {
    let (breaker, clock) = (super::trellis(), Monotonic::new());
    bencher.bench(|| {
        let permit = breaker.try_acquire(clock.now()).expect("it is closed");
        let result = succeed();
        permit.record(black_box(&Verdict::SUCCESS), clock.now());
        result
    });
}

/// The caller knows the time anyway, as the client does.
#[divan::bench(threads = THREADS, sample_size = SAMPLE)]
fn trellis_with_shared_timestamps(bencher: Bencher<'_, '_>) {
    let breaker = super::trellis();
    bencher.bench(|| {
        let now = black_box(Time::from_nanos(1_000_000_000));
        let permit = breaker.try_acquire(now).expect("it is closed");
        let result = succeed();
        permit.record(black_box(&Verdict::SUCCESS), black_box(now));
        result
    });
}

#[divan::bench(threads = THREADS, sample_size = SAMPLE)]
fn failsafe_consecutive(bencher: Bencher<'_, '_>) {
    let breaker = super::failsafe_consecutive();
    bencher.bench(|| breaker.call(succeed));
}

#[divan::bench(threads = THREADS, sample_size = SAMPLE)]
fn failsafe_default(bencher: Bencher<'_, '_>) {
    let breaker = Config::new().build();
    bencher.bench(|| breaker.call(succeed));
}

#[divan::bench(threads = THREADS, sample_size = SAMPLE)]
fn recloser(bencher: Bencher<'_, '_>) {
    let breaker = super::recloser();
    bencher.bench(|| breaker.call(succeed));
}
