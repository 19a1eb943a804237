//! The same around a service, which is what those of tower-resilience are.

use divan::{Bencher, black_box};
use tower_resilience_circuitbreaker::SlidingWindowType;
use trellis_resilience::clock::{Clock as _, Monotonic};
use trellis_resilience::outcome::Verdict;

use super::{Instantaneous, SAMPLE, THREADS, UNAVAILABLE, through};

#[divan::bench(threads = THREADS, sample_size = SAMPLE)]
fn bare(bencher: Bencher<'_, '_>) {
    bencher.bench(|| through(Instantaneous, Ok(1)));
}

#[divan::bench(threads = THREADS, sample_size = SAMPLE)]
fn trellis(bencher: Bencher<'_, '_>) {
    let (breaker, clock) = (super::trellis(), Monotonic::new());
    bencher.bench(|| {
        let permit = breaker.try_acquire_owned(clock.now()).expect("it is closed");
        let is_good = through(Instantaneous, Ok(1));
        let verdict = if black_box(is_good) { &Verdict::SUCCESS } else { &UNAVAILABLE };
        permit.record(verdict, clock.now());
        is_good
    });
}

#[divan::bench(threads = THREADS, sample_count = 20, sample_size = SAMPLE)]
fn tower_resilience_count(bencher: Bencher<'_, '_>) {
    let service = super::tower_resilience(SlidingWindowType::CountBased);
    bencher.bench(|| through(service.clone(), Ok(1)));
}

/// Its duty is most like that of this one. There are at most 5,000 calls in its window
/// with one thread, as with 500 a second, and 10,000 with two.
#[divan::bench(threads = THREADS, sample_count = 10, sample_size = 500)]
fn tower_resilience_time(bencher: Bencher<'_, '_>) {
    let service = super::tower_resilience(SlidingWindowType::TimeBased);
    bencher.bench(|| through(service.clone(), Ok(1)));
}
