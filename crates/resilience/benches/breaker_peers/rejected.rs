//! A call that is rejected while the breaker is open.

use divan::{Bencher, black_box};
use failsafe::CircuitBreaker as _;
use recloser::Error;
use tower_resilience_circuitbreaker::SlidingWindowType;
use trellis_resilience::clock::{Clock as _, Monotonic};
use trellis_resilience::core::breaker::Breaker;

use super::{SAMPLE, THREADS, UNAVAILABLE, succeed, through};

fn open(clock: &Monotonic) -> Breaker {
    let (breaker, now) = (super::trellis(), clock.now());
    for _ in 0..5 {
        breaker.try_acquire(now).expect("it is closed").record(&UNAVAILABLE, now);
    }
    breaker
}

#[divan::bench(threads = THREADS, sample_size = SAMPLE)]
fn trellis(bencher: Bencher<'_, '_>) {
    let clock = Monotonic::new();
    let breaker = open(&clock);
    bencher.bench(|| assert!(breaker.try_acquire(clock.now()).is_err()));
}

#[divan::bench(threads = THREADS, sample_size = SAMPLE)]
fn trellis_with_shared_timestamps(bencher: Bencher<'_, '_>) {
    let clock = Monotonic::new();
    let (breaker, now) = (open(&clock), clock.now());
    bencher.bench(|| assert!(breaker.try_acquire(black_box(now)).is_err()));
}

#[divan::bench(threads = THREADS, sample_size = SAMPLE)]
fn failsafe_consecutive(bencher: Bencher<'_, '_>) {
    let breaker = super::failsafe_consecutive();
    while breaker.is_call_permitted() {
        let _ = breaker.call(|| Err::<(), ()>(()));
    }
    bencher.bench(|| assert!(breaker.call(succeed).is_err()));
}

#[divan::bench(threads = THREADS, sample_size = SAMPLE)]
fn recloser(bencher: Bencher<'_, '_>) {
    let breaker = super::recloser();
    while !matches!(breaker.call(|| Err::<(), ()>(())), Err(Error::Rejected)) {}
    bencher.bench(|| assert!(breaker.call(succeed).is_err()));
}

/// With one thread only: while another one is at it, it sleeps for a millisecond.
#[divan::bench(threads = [1], sample_size = SAMPLE)]
fn tower_resilience(bencher: Bencher<'_, '_>) {
    let service = super::tower_resilience(SlidingWindowType::CountBased);
    (0..100).for_each(|_| assert!(!through(service.clone(), Err(()))));
    bencher.bench(|| assert!(!through(service.clone(), Ok(1))));
}
