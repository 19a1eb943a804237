mod guards;
mod model;

use std::panic::AssertUnwindSafe;

use super::*;
use crate::core::clock::Manual;
use model::{Model, constant, exponential};

const MS: Duration = Duration::from_millis(1);
/// What a model with 50 workers does in a second if each call takes 50 ms.
const CAPACITY: f64 = 1000.0;

fn environment(clock: &Arc<Manual>) -> Environment {
    Environment {
        clock: Arc::<Manual>::clone(clock),
        random: Arc::new(Random::seeded(1)),
        ..Environment::default()
    }
}

fn limiter(settings: Settings) -> (Limiter, Arc<Manual>) {
    let clock = Arc::new(Manual::new());
    (Limiter::new(settings, &environment(&clock)).unwrap(), clock)
}

/// A window in which `calls` calls were in flight at once and took `latency`.
fn window(limiter: &Limiter, clock: &Manual, calls: usize, latency: Duration) {
    for _ in 0..200_usize.div_ceil(calls) {
        let began = clock.now();
        let slots: Vec<_> = (0..calls).map_while(|_| limiter.try_acquire(began)).collect();
        clock.advance(latency);
        for slot in slots {
            slot.finish(Sample::Completed, clock.now());
        }
    }
    clock.advance(Duration::from_secs(2));
    limiter.try_acquire(clock.now()).unwrap().finish(Sample::Ignored, clock.now());
}

#[test]
fn a_slot_is_taken_and_given_back() {
    let (limiter, clock) = limiter(Settings::default());

    let mut slots: Vec<_> = (0..20).map(|_| limiter.try_acquire(clock.now()).unwrap()).collect();

    assert!(limiter.try_acquire(clock.now()).is_none());
    slots.pop().unwrap().finish(Sample::Completed, clock.now());
    assert!(limiter.try_acquire(clock.now()).is_some());
    slots.clear();
    assert_eq!(limiter.inflight(), 0);
}

#[test]
fn a_panic_gives_its_slot_back() {
    let (limiter, clock) = limiter(Settings::default());
    let slot = limiter.try_acquire(clock.now()).unwrap();

    let result = std::panic::catch_unwind(AssertUnwindSafe(move || {
        let _slot = slot;
        panic!("on purpose");
    }));

    assert!(result.is_err());
    assert_eq!(limiter.inflight(), 0);
}

#[test]
fn a_call_that_is_cut_counts_as_dropped_only_if_it_took_long() {
    let (limiter, clock) = limiter(Settings::default());
    window(&limiter, &clock, 10, 50 * MS);
    let dropped = || limiter.0.dropped.load(Ordering::Relaxed);
    let cut_after = |elapsed| {
        let slot = limiter.try_acquire(clock.now()).unwrap();
        clock.advance(elapsed);
        drop(slot);
    };

    cut_after(40 * MS);
    assert_eq!(dropped(), 0);
    cut_after(60 * MS);
    assert_eq!(dropped(), 1);
}

#[test]
fn it_does_not_grow_for_those_who_need_less() {
    let (limiter, clock) = limiter(Settings::default());

    for _ in 0..20 {
        window(&limiter, &clock, 19, 50 * MS);
    }
    assert_eq!(limiter.limit(), 20);

    window(&limiter, &clock, 20, 50 * MS);
    assert!(20 < limiter.limit());
}

#[test]
fn it_is_at_most_five_times_what_was_ever_needed_lately() {
    let mut model = Model::new(200, Settings::default());
    model.run(30, 3000.0, constant(50));
    assert!(150 < model.limiter.limit());

    // That is about 20 calls at once, and sometimes 35.
    model.run(30, 400.0, constant(50));

    assert!(model.limiter.limit() <= 5 * 40, "{}", model.limiter.limit());
    model.run(200, 5.0, constant(50));
    assert_eq!(model.limiter.limit(), 20, "the room for a burst stays");
}

#[test]
fn it_finds_the_capacity_of_what_is_behind_it() {
    for over in [1.1, 1.5, 3.0] {
        let mut model = Model::new(50, Settings::default());
        model.run(20, over * CAPACITY, constant(50));

        let mut seen = model.run(40, over * CAPACITY, constant(50));

        let goodput = per_second(seen.completed, 40) / CAPACITY;
        assert!(0.95 <= goodput, "{goodput} at {over}");
        assert!(seen.quantile(0.99) <= 80 * MS, "{:?} at {over}", seen.quantile(0.99));
        assert_eq!(seen.timed_out, 0);
    }
}

#[test]
fn latencies_that_vary_much_do_not_make_it_starve() {
    let mut model = Model::new(50, Settings::default());
    model.run(20, 3.0 * CAPACITY, exponential(50 * MS));

    let seen = model.run(40, 3.0 * CAPACITY, exponential(50 * MS));

    let goodput = per_second(seen.completed, 40) / CAPACITY;
    assert!(0.95 <= goodput, "{goodput}");
    assert!(seen.mean_limit() <= 100.0, "{}", seen.mean_limit());
}

/// Behaviour 47.
#[test]
fn a_latency_that_rises_slowly_does_not_make_it_creep_up() {
    let mut model = Model::new(50, Settings::default());
    let seen = model.run(60, 1.2 * CAPACITY, constant(50));
    let before = seen.limits.iter().copied().max().unwrap();
    let start = model.clock.now();

    // Half a percent in a second: in the end, calls take 80 ms.
    let rising = move |now: Time, _: &Random| {
        (50 * MS).mul_f64(1.0 + now.since(start).as_secs_f64() / 200.0)
    };
    let seen = model.run(120, 1.2 * CAPACITY, rising);

    let most = seen.limits.iter().copied().max().unwrap();
    assert!(most <= before + before / 10, "{most} after {before}");
    assert!(model.limiter.limit() <= before, "{} after {before}", model.limiter.limit());
    assert_eq!(seen.timed_out, 0);
}

/// Behaviour 47.
#[test]
fn a_modest_overload_that_lasts_does_not_make_it_creep_up() {
    let mut model = Model::new(50, Settings::default());
    model.run(60, 1.25 * CAPACITY, constant(50));

    let seen = model.run(240, 1.25 * CAPACITY, constant(50));

    let most = seen.limits.iter().copied().max().unwrap();
    // The capacity, the tolerance of 20 % for 1000 samples, α, and one step.
    assert!(most <= 60 + 6 + 6, "{most}");
}

#[test]
fn a_baseline_that_was_measured_in_a_queue_is_found_out() {
    // It begins with 80 calls where 10 can be worked on, and never sees another latency.
    let mut model = Model::new(10, Settings { initial: 80, ..Settings::default() });

    model.run(240, 600.0, constant(50));

    let snapshot = model.limiter.snapshot();
    assert!(snapshot.baseline.unwrap() < 0.06, "{snapshot:?}");
    assert!(snapshot.limit <= 25, "{snapshot:?}");
}

#[test]
fn calls_that_become_slower_by_nature_get_a_new_baseline() {
    let mut model = Model::new(50, Settings::default());
    model.run(60, 1.5 * CAPACITY, constant(50));

    model.run(120, 1.5 * CAPACITY / 4.0, constant(200));
    let seen = model.run(20, 1.5 * CAPACITY / 4.0, constant(200));

    let baseline = model.limiter.snapshot().baseline.unwrap();
    assert!((0.19..0.22).contains(&baseline), "{baseline}");
    let goodput = per_second(seen.completed, 20) / (CAPACITY / 4.0);
    assert!(0.9 <= goodput, "{goodput}");
}

#[test]
fn a_minute_of_easy_calls_does_not_starve_the_hard_ones_after_it() {
    let mut model = Model::new(50, Settings::default());
    model.run(60, 1.5 * CAPACITY, constant(50));

    model.run(60, 1.5 * CAPACITY, constant(5));
    let seen = model.run(60, 1.5 * CAPACITY, constant(50));

    let goodput = per_second(seen.completed, 60) / CAPACITY;
    assert!(0.85 <= goodput, "{goodput}");
    assert!(30 <= *seen.limits.iter().min().unwrap(), "{:?}", seen.limits);
}

#[test]
fn when_nothing_ends_any_more_it_goes_to_its_minimum() {
    let mut model = Model::new(50, Settings::default());
    model.run(20, CAPACITY, constant(50));

    model.run(120, CAPACITY, constant(100_000));

    assert_eq!(model.limiter.limit(), 4);
}

#[test]
fn room_is_made_only_for_a_moment() {
    let (limiter, clock) = limiter(Settings::default());
    let mut least = usize::MAX;
    for _ in 0..60 {
        let full = limiter.limit();
        window(&limiter, &clock, full, 50 * MS);
        let ceiling = limiter.0.ceiling.load(Ordering::Relaxed);
        if limiter.snapshot().is_probing {
            assert!(ceiling < limiter.limit(), "{ceiling} of {}", limiter.limit());
            least = least.min(ceiling);
        } else {
            assert_eq!(ceiling, limiter.limit());
        }
    }
    assert!(least < usize::MAX, "room was never made");
}

/// For the limiter and the bulkhead.
///
/// Behaviour 48.
#[test]
fn a_million_calls_that_end_in_every_way_leave_nothing_behind() {
    const THREADS: u64 = 2;
    let limiter = Limiter::new(Settings::default(), &Environment::default()).unwrap();
    let bulkhead = Bulkhead::new(64);

    std::thread::scope(|scope| {
        for seed in 0..THREADS {
            let (limiter, bulkhead) = (&limiter, &bulkhead);
            scope.spawn(move || {
                storm(limiter, bulkhead, &Random::seeded(seed), 1_000_000 / THREADS);
            });
        }
    });

    assert_eq!((limiter.inflight(), bulkhead.inflight()), (0, 0));
    assert!(limiter.limit() >= 4);
}

fn storm(limiter: &Limiter, bulkhead: &Bulkhead, random: &Random, calls: u64) {
    let clock = Arc::clone(&limiter.0.clock);
    let mut held = Vec::new();
    for _ in 0..calls {
        let now = clock.now();
        let call = (limiter.try_acquire(now), bulkhead.try_acquire());
        match (random.below(1000), call) {
            (0..400, (Some(slot), _)) => slot.finish(Sample::Completed, clock.now()),
            (400..500, (Some(slot), _)) => slot.finish(Sample::Dropped, now),
            (500, call) => {
                let panicked = std::panic::catch_unwind(AssertUnwindSafe(move || {
                    let _call = call;
                    std::panic::resume_unwind(Box::new("on purpose"))
                }));
                assert!(panicked.is_err());
            }
            (501..800, call) => held.push(call),
            (_, call) => drop(call),
        }
        if random.below(4) == 0 && !held.is_empty() {
            held.swap_remove(random.below(held.len()));
        }
    }
}

fn per_second(calls: u64, seconds: u32) -> f64 {
    f64::from(u32::try_from(calls).unwrap()) / f64::from(seconds)
}
