//! Threads at work at once.

use std::collections::HashMap;

use super::super::Permit;
use super::*;

const CALLS: u64 = 1_000_000;

/// What one thread did.
#[derive(Default)]
struct Done {
    recorded: u64,
    failed: u64,
    cancelled: u64,
}

/// Calls, cancelled at random, by two threads.
fn two_threads(work: impl Fn(&Random, &mut Done) + Sync) -> Done {
    std::thread::scope(|scope| {
        let run = |seed| {
            let (random, mut done) = (Random::seeded(seed), Done::default());
            for _ in 0..CALLS {
                work(&random, &mut done);
            }
            done
        };
        let [one, other] = [1, 2].map(|seed| scope.spawn(move || run(seed)));
        let (one, other) = (one.join().unwrap(), other.join().unwrap());
        Done {
            recorded: one.recorded + other.recorded,
            failed: one.failed + other.failed,
            cancelled: one.cancelled + other.cancelled,
        }
    })
}

/// Behaviour 16.
#[test]
fn the_totals_are_what_two_threads_recorded() {
    let settings =
        Settings { consecutive_failures: None, failure_rate: None, ..Settings::default() };
    let rig = Rig::new(settings);
    let done = two_threads(|random, done| {
        // Through all ten buckets, but not so far that the first one is over.
        rig.advance(Duration::from_nanos(4_900));
        let permit = rig.breaker.try_acquire(rig.now()).unwrap();
        match random.below(10) {
            0 => {
                drop(permit);
                done.cancelled += 1;
                return;
            }
            1 => {
                permit.record(&UNAVAILABLE, rig.now());
                done.failed += 1;
            }
            _ => permit.record(&Verdict::SUCCESS, rig.now()),
        }
        done.recorded += 1;
    });
    let totals = rig.totals();
    assert_eq!((totals.calls, totals.failures), (done.recorded, done.failed));
    assert_eq!(done.recorded + done.cancelled, 2 * CALLS);
    assert_eq!((rig.stale(), rig.changes().len()), (0, 0));
}

/// Behaviour 16.
#[test]
fn probes_stay_within_their_number_and_each_transition_is_told_once() {
    let short = 10 * MILLISECOND;
    let settings = Settings { open_base: short, open_cap: short, ..Settings::default() };
    let rig =
        Rig::new(Settings { consecutive_failures: Some(2), ramp: Duration::ZERO, ..settings });
    let probes = Probes::default();
    let done = two_threads(|random, done| {
        rig.advance(Duration::from_micros(100));
        // Together the threads may hold four, one more than there are probes.
        let ask = |_| rig.breaker.try_acquire(rig.now()).ok();
        let permits: Vec<_> = (0..=random.below(2)).filter_map(ask).collect();
        permits.iter().filter_map(Permit::probe_of).for_each(|probe| probes.begin(probe));
        for permit in permits {
            // Before it ends: its place may be taken the moment it does.
            permit.probe_of().inspect(|probe| probes.end(*probe));
            match random.below(10) {
                0 => {
                    drop(permit);
                    done.cancelled += 1;
                    continue;
                }
                1 => permit.record(&UNAVAILABLE, rig.now()),
                _ => permit.record(&Verdict::SUCCESS, rig.now()),
            }
            done.recorded += 1;
        }
    });
    assert!(done.recorded > 0 && done.cancelled > 0);
    let generation = rig.breaker.snapshot(rig.now()).generation;
    assert!(generation > 1_000, "only {generation} transitions");
    assert_eq!(rig.changes().len() as u64, generation, "one event for each transition");
    assert_eq!(rig.counted.counter("resilience_breaker_transitions_total", &[]), generation);
    let most = probes.most.load(Ordering::Relaxed);
    assert!((1..=3).contains(&most), "{most} probes at once");
}

/// The probes that are held, by their generation: one that is held beyond its own does
/// not take a place of the next.
#[derive(Default)]
struct Probes {
    held: Mutex<HashMap<u64, u64>>,
    most: AtomicU64,
}

impl Probes {
    fn begin(&self, generation: u64) {
        let mut held = self.held.lock().unwrap();
        let count = held.entry(generation).or_default();
        *count += 1;
        self.most.fetch_max(*count, Ordering::Relaxed);
    }

    fn end(&self, generation: u64) {
        *self.held.lock().unwrap().get_mut(&generation).unwrap() -= 1;
    }
}
