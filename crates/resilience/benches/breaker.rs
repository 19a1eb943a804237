//! What a call costs that goes through a breaker, with one thread and with two that
//! contend for the same one. Allocations are counted beside the times.

use std::cell::Cell;
use std::time::Duration;

use divan::{AllocProfiler, Bencher, black_box};
use trellis_resilience::Environment;
use trellis_resilience::clock::{Clock, Monotonic, Time};
use trellis_resilience::core::breaker::{Breaker, Mode, Settings};
use trellis_resilience::outcome::{FailureKind, RetrySafety, Verdict};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const UNAVAILABLE: Verdict = Verdict::failure(FailureKind::Server, RetrySafety::IfIdempotent);

/// So many that threads which start together are together for nearly all of a sample.
const SAMPLE: u32 = 50_000;

fn main() {
    divan::main();
}

fn breaker() -> Breaker {
    let settings = Settings { slow: Some(Duration::from_secs(1)), ..Settings::default() };
    Breaker::new("inventory", settings, Environment::default()).expect("the settings are valid")
}

/// Shows that allocations are seen where there are some.
#[divan::bench]
fn building_one(bencher: Bencher<'_, '_>) {
    bencher.bench(breaker);
}

/// What the clock takes of [`closed_success`].
#[divan::bench(threads = [1, 2], sample_size = SAMPLE)]
fn two_clock_reads(bencher: Bencher<'_, '_>) {
    let clock = Monotonic::new();
    bencher.bench(|| (clock.now(), clock.now()));
}

#[divan::bench(threads = [1, 2], sample_size = SAMPLE)]
fn closed_success(bencher: Bencher<'_, '_>) {
    let (breaker, clock) = (breaker(), Monotonic::new());
    bencher.bench(|| {
        let permit = breaker.try_acquire(clock.now()).expect("it is closed");
        permit.record(black_box(&Verdict::SUCCESS), clock.now());
    });
}

/// The timestamps are those that the caller has anyway.
#[divan::bench(threads = [1, 2], sample_size = SAMPLE)]
fn closed_success_with_shared_timestamps(bencher: Bencher<'_, '_>) {
    let breaker = breaker();
    bencher.bench(|| {
        let now = black_box(Time::from_nanos(1_000_000_000));
        let permit = breaker.try_acquire(now).expect("it is closed");
        permit.record(black_box(&Verdict::SUCCESS), black_box(now));
    });
}

#[divan::bench(threads = [1, 2], sample_size = SAMPLE)]
fn closed_success_with_an_owned_permit(bencher: Bencher<'_, '_>) {
    let (breaker, clock) = (breaker(), Monotonic::new());
    bencher.bench(|| {
        let permit = breaker.try_acquire_owned(clock.now()).expect("it is closed");
        permit.record(black_box(&Verdict::SUCCESS), clock.now());
    });
}

/// Each failure adds up the window.
#[divan::bench]
fn closed_with_one_failure_in_ten(bencher: Bencher<'_, '_>) {
    let (breaker, clock, count) = (breaker(), Monotonic::new(), Cell::new(0_u32));
    bencher.bench_local(|| {
        let permit = breaker.try_acquire(clock.now()).expect("it is closed");
        count.set(count.get().wrapping_add(1));
        let verdict = if count.get() % 10 == 0 { &UNAVAILABLE } else { &Verdict::SUCCESS };
        permit.record(black_box(verdict), clock.now());
    });
}

#[divan::bench(threads = [1, 2], sample_size = SAMPLE)]
fn rejected(bencher: Bencher<'_, '_>) {
    let breaker = breaker();
    let now = Time::from_nanos(1_000_000_000);
    for _ in 0..5 {
        breaker.try_acquire(now).expect("it is closed").record(&UNAVAILABLE, now);
    }
    bencher.bench(|| breaker.try_acquire(black_box(now)).is_err());
}

#[divan::bench]
fn disabled(bencher: Bencher<'_, '_>) {
    let breaker = breaker();
    let now = Time::from_nanos(1_000_000_000);
    breaker.set_mode(Mode::Disabled, now);
    bencher.bench(|| {
        let permit = breaker.try_acquire(black_box(now)).expect("it admits all");
        permit.record(black_box(&Verdict::SUCCESS), black_box(now));
    });
}
