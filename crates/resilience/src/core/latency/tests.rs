use proptest::prelude::*;

use super::*;
use crate::core::simulation::at_millis;

fn record(latency: &Latency, millis: u64, samples: u64, now: Time) {
    for _ in 0..samples {
        latency.record(Duration::from_millis(millis), now);
    }
}

fn p50(latency: &Latency, now: Time) -> Option<u128> {
    latency.quantile(Quantile::P50, now).map(|p50| p50.as_millis())
}

/// The smallest sample that at least this share of all is not above.
fn exact(samples: &mut [u64], percent: usize) -> u64 {
    samples.sort_unstable();
    samples[(samples.len() * percent).div_ceil(100) - 1]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn quantiles_are_exact_to_two_digits(
        // From a microsecond to half a minute, in powers of two and a part.
        samples in prop::collection::vec((0_u32..24, 1.0..2.0_f64, 0_u64..20), 100..600),
    ) {
        let latency = Latency::new(Duration::from_secs(1));
        let mut recorded = Vec::new();
        let mut millis = 0;
        for (power, part, wait) in samples {
            millis += wait;
            let duration = Duration::from_micros(1 << power).mul_f64(part);
            latency.record(duration, at_millis(millis));
            recorded.push((millis / 1_000, u64::try_from(duration.as_micros()).unwrap()));
        }
        // One more, so that they are worked out anew.
        millis += 100;
        latency.record(Duration::from_millis(1), at_millis(millis));
        recorded.push((millis / 1_000, 1_000));

        let mut held: Vec<u64> = recorded
            .iter()
            .filter(|(window, _)| millis / 1_000 <= window + 1)
            .map(|(_, micros)| *micros)
            .collect();
        for (quantile, percent) in [(Quantile::P50, 50), (Quantile::P90, 90), (Quantile::P95, 95)] {
            let known = latency.quantile(quantile, at_millis(millis));
            if held.len() < 100 {
                prop_assert_eq!(known, None);
                continue;
            }
            let exact = exact(&mut held, percent);
            let known = u64::try_from(known.unwrap().as_micros()).unwrap();
            prop_assert!(known.abs_diff(exact) <= exact / 100, "{known} is not {exact}");
        }
    }
}

#[test]
fn nothing_is_known_from_99_samples() {
    let latency = Latency::default();
    record(&latency, 8, 99, at_millis(0));
    assert_eq!(p50(&latency, at_millis(0)), None);
    record(&latency, 8, 1, at_millis(0));
    assert_eq!(p50(&latency, at_millis(0)), Some(8));
}

#[test]
fn samples_count_for_their_window_and_the_next() {
    let latency = Latency::default();
    record(&latency, 8, 200, at_millis(9_000));
    assert_eq!(p50(&latency, at_millis(19_999)), Some(8));
    record(&latency, 100, 300, at_millis(19_800));
    record(&latency, 100, 1, at_millis(19_900));
    assert_eq!(p50(&latency, at_millis(19_999)), Some(100));
    // Those of 8 ms are gone. If they were not, they would be more than a tenth.
    record(&latency, 150, 900, at_millis(20_000));
    record(&latency, 150, 1, at_millis(20_100));
    assert_eq!(p50(&latency, at_millis(20_100)), Some(150));
    let held = latency.samples.lock().unwrap();
    assert_eq!((held.present.len(), held.both.len()), (901, 901 + 301));
}

#[test]
fn what_is_known_is_forgotten_when_the_calls_stop() {
    let latency = Latency::default();
    record(&latency, 8, 60, at_millis(5_000));
    record(&latency, 8, 60, at_millis(15_000));
    // Half of the samples are gone at 20 s, and the rest are too few.
    assert_eq!(p50(&latency, at_millis(19_999)), Some(8));
    assert_eq!(p50(&latency, at_millis(20_000)), None);
    record(&latency, 8, 99, at_millis(30_000));
    assert_eq!(p50(&latency, at_millis(30_000)), None);
}

#[test]
fn samples_of_two_windows_ago_do_not_come_back() {
    let latency = Latency::default();
    record(&latency, 8, 200, at_millis(5_000));
    record(&latency, 8, 99, at_millis(25_000));
    assert_eq!(p50(&latency, at_millis(25_000)), None);
}

#[test]
fn what_is_read_is_at_most_100_ms_old_while_there_are_calls() {
    let latency = Latency::default();
    record(&latency, 8, 100, at_millis(0));
    record(&latency, 50, 900, at_millis(99));
    assert_eq!(p50(&latency, at_millis(99)), Some(8));
    record(&latency, 50, 1, at_millis(100));
    assert_eq!(p50(&latency, at_millis(100)), Some(50));
}

#[test]
fn a_sample_that_would_have_to_wait_is_dropped_and_counted() {
    let latency = Latency::default();
    record(&latency, 8, 100, at_millis(0));
    let held = latency.samples.lock().unwrap();
    record(&latency, 8, BATCH as u64 + 3, at_millis(0));
    assert_eq!(latency.dropped(), 3);
    assert_eq!(p50(&latency, at_millis(0)), Some(8), "reading does not wait either");
    assert_eq!(held.both.len(), 100);
    drop(held);
    record(&latency, 8, 1, at_millis(100));
    // The last one came when its batch was still full.
    assert_eq!(latency.samples.lock().unwrap().both.len(), 100 + BATCH as u64);
}

#[test]
fn what_other_threads_recorded_counts_too() {
    let latency = Latency::default();
    record(&latency, 8, 100, at_millis(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| record(&latency, 50, 70, at_millis(99)));
        }
    });
    record(&latency, 8, 1, at_millis(100));
    let held = latency.samples.lock().unwrap().both.len();
    assert_eq!(held + latency.dropped(), 100 + 3 * 70 + 1);
    assert_eq!(p50(&latency, at_millis(100)), Some(50));
}

#[test]
fn what_is_gathered_late_counts_for_the_window_that_it_was_in() {
    let latency = Latency::default();
    record(&latency, 8, 100, at_millis(9_000));
    // These wait for another thread, which sees the next window first.
    let others = latency.samples.lock().unwrap();
    record(&latency, 50, 10, at_millis(9_999));
    drop(others);
    latency.samples.lock().unwrap().turn(at_millis(10_000), latency.window);
    record(&latency, 50, 1, at_millis(10_050));
    latency.gather(at_millis(10_200));

    let held = latency.samples.lock().unwrap();
    assert_eq!((held.present.len(), held.both.len()), (1, 111));
}

#[test]
fn a_thread_that_died_while_it_recorded_does_not_stop_the_others() {
    let latency = Latency::default();
    std::thread::scope(|scope| {
        let died = scope.spawn(|| {
            let _held = latency.samples.lock().unwrap();
            panic!("while it recorded");
        });
        assert!(died.join().is_err());
    });
    record(&latency, 8, 100, at_millis(0));
    assert_eq!(p50(&latency, at_millis(0)), Some(8));
}

#[test]
fn the_longest_calls_count_as_a_minute_and_the_shortest_as_a_microsecond() {
    let latency = Latency::default();
    for _ in 0..100 {
        latency.record(Duration::MAX, Time::ZERO);
        latency.record(Duration::ZERO, Time::ZERO);
    }
    let known = |quantile| latency.quantile(quantile, Time::ZERO).unwrap();
    assert!(known(Quantile::P50) <= Duration::from_micros(1));
    assert!(known(Quantile::P95).abs_diff(LONGEST) < LONGEST / 100);
}

#[test]
fn memory_is_what_the_documentation_says() {
    let counters = 2 * empty().distinct_values();
    assert!((16_000..=20_480).contains(&(counters * size_of::<u32>())), "{counters}");
}
