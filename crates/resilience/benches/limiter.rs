//! What it costs to take a slot and to give it back.

use std::time::Duration;

use divan::Bencher;
use trellis_resilience::Environment;
use trellis_resilience::clock::Time;
use trellis_resilience::core::limit::{Bulkhead, Limiter, Sample, Settings};

/// Long enough for two threads to be at it together for nearly all of a sample.
const SAMPLE: u32 = 2_000_000;

fn main() {
    divan::main();
}

fn limiter() -> Limiter {
    Limiter::new(Settings::default(), &Environment::default()).expect("the defaults are right")
}

/// The time is given, as in the fused stack, and no window ends.
#[divan::bench(threads = [1, 2], sample_count = 20, sample_size = SAMPLE)]
fn acquire_and_finish(bencher: Bencher<'_, '_>) {
    let limiter = limiter();
    let begin = Time::ZERO;
    let end = begin + Duration::from_millis(1);
    bencher.bench(|| {
        if let Some(slot) = limiter.try_acquire(divan::black_box(begin)) {
            slot.finish(Sample::Completed, divan::black_box(end));
        }
    });
}

#[divan::bench(threads = [1, 2], sample_count = 20, sample_size = SAMPLE)]
fn refuse(bencher: Bencher<'_, '_>) {
    let limiter = limiter();
    let slots: Vec<_> =
        (0..limiter.limit()).map_while(|_| limiter.try_acquire(Time::ZERO)).collect();
    bencher.bench(|| limiter.try_acquire(divan::black_box(Time::ZERO)).is_none());
    drop(slots);
}

#[divan::bench(threads = [1, 2], sample_count = 20, sample_size = SAMPLE)]
fn bulkhead(bencher: Bencher<'_, '_>) {
    let bulkhead = Bulkhead::new(64);
    bencher.bench(|| bulkhead.try_acquire().is_some());
}
