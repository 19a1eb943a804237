//! The window against a naive one, which keeps every outcome with its time.

use std::sync::atomic::AtomicU64;

use proptest::prelude::*;

use super::*;

const LENGTH: Duration = Duration::from_secs(10);
const WIDTH: u64 = 1_000_000_000;

#[derive(Clone, Debug)]
enum Step {
    Advance(u64),
    Add(Kind),
    /// An outcome whose time was taken a little earlier.
    AddLate(Kind, u64),
    NextGeneration,
}

#[derive(Default)]
struct Naive(Vec<(u64, Kind)>);

impl Naive {
    /// Counts what is not older than the window, whose start is a whole bucket.
    fn totals(&self, now: u64) -> Totals {
        let anchor = now - now % WIDTH;
        let mut totals = Totals::default();
        for (at, kind) in &self.0 {
            if *at + 9 * WIDTH >= anchor {
                totals.calls += 1;
                totals.failures += u64::from(matches!(kind, Kind::Bad | Kind::BadSlow));
                totals.slow += u64::from(matches!(kind, Kind::GoodSlow | Kind::BadSlow));
            }
        }
        totals
    }

    fn busiest(&self, now: u64) -> u64 {
        let last = now / WIDTH;
        let buckets = last.saturating_sub(9)..=last;
        let calls = |bucket| self.0.iter().filter(|(at, _)| at / WIDTH == bucket).count() as u64;
        buckets.map(calls).max().unwrap_or_default()
    }
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Good), Just(Kind::GoodSlow), Just(Kind::Bad), Just(Kind::BadSlow)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..WIDTH / 2).prop_map(Step::Advance),
        1 => (0..30 * WIDTH).prop_map(Step::Advance),
        8 => kind().prop_map(Step::Add),
        2 => (kind(), 0..9 * WIDTH).prop_map(|(kind, late)| Step::AddLate(kind, late)),
        1 => Just(Step::NextGeneration),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_totals_are_those_of_a_list_of_all_outcomes(
        start in 0..20 * WIDTH,
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let window = Window::<AtomicU64>::new(LENGTH, 2);
        let (mut naive, mut now, mut generation) = (Naive::default(), start, 14);
        for step in steps {
            let mut add = |kind, at| {
                prop_assert!(window.add(generation, kind, Time::from_nanos(at), || true));
                naive.0.push((at, kind));
                Ok(())
            };
            match step {
                Step::Advance(by) => now += by,
                Step::Add(kind) => add(kind, now)?,
                Step::AddLate(kind, late) => add(kind, now.saturating_sub(late))?,
                Step::NextGeneration => {
                    window.sweep();
                    generation += 1;
                    naive.0.clear();
                }
            }
            let totals = window.totals(generation, Time::from_nanos(now));
            prop_assert_eq!(totals, naive.totals(now));
            let busiest = window.busiest(generation, Time::from_nanos(now));
            prop_assert_eq!(busiest, naive.busiest(now));
        }
    }
}

#[test]
fn two_threads_that_use_the_buckets_again_lose_nothing_and_count_nothing_twice() {
    const CALLS: u64 = 200_000;
    const PER_BUCKET: u64 = 400;
    // One shard, so that both are always at the same word; and a time that runs through
    // the buckets many times while they count.
    let window = Window::<AtomicU64>::new(LENGTH, 1);
    let now = AtomicU64::new(0);
    let last = 1_000 * WIDTH;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..CALLS {
                    let now = now.fetch_add(WIDTH / PER_BUCKET, Ordering::Relaxed);
                    assert!(window.add(0, Kind::Good, Time::from_nanos(now), || true));
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..1_000 {
                // While it reads, the others may go round once more, and what they
                // count by then belongs to it, too: in every place, but never more of
                // one bucket than there was.
                let now = Time::from_nanos(now.load(Ordering::Relaxed));
                assert!(window.busiest(0, now) <= PER_BUCKET, "counted twice");
                assert!(window.totals(0, now).calls <= PLACES as u64 * PER_BUCKET);
            }
        });
    });
    let end = now.load(Ordering::Relaxed);
    assert_eq!(end, last);
    // Each bucket took all of its outcomes, and the window ends in one that has just begun.
    let counted = window.totals(0, Time::from_nanos(end)).calls;
    assert_eq!(counted, 9 * PER_BUCKET);
}

#[test]
fn an_outcome_older_than_the_window_does_not_replace_newer_ones() {
    let window = Window::<AtomicU64>::new(LENGTH, 1);
    let at = |bucket: u64| Time::from_nanos(bucket * WIDTH);
    assert!(window.add(1, Kind::Bad, at(25), || true));
    assert!(window.add(1, Kind::Bad, at(15), || true));
    let totals = Totals { calls: 1, failures: 1, slow: 0 };
    assert_eq!(window.totals(1, at(25)), totals);
    assert_eq!(window.totals(1, at(34)), totals);
    assert_eq!(window.totals(1, at(35)), Totals::default());
}

#[test]
fn the_outcome_of_a_generation_that_is_over_is_refused() {
    let window = Window::<AtomicU64>::new(LENGTH, 1);
    assert!(!window.add(1, Kind::Bad, Time::ZERO, || false));
    assert_eq!(window.totals(1, Time::ZERO), Totals::default());
}
