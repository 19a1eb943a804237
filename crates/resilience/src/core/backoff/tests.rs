use super::*;

const CAP: Duration = Duration::from_secs(1);
const CLIENTS: u32 = 100;

fn backoff(jitter: Jitter) -> Backoff {
    Backoff { jitter, ..Backoff::default() }
}

/// Long after its bound has reached the cap, the wait of each of many clients, and the
/// one before it.
fn waits_at_the_cap(jitter: Jitter) -> Vec<(Duration, Duration)> {
    let wait = |client: u32| {
        let random = Random::seeded(u64::from(client));
        let next = |previous, retry| backoff(jitter).delay(retry, previous, &random);
        let previous = (0..20).fold(Duration::ZERO, next);
        (previous, next(previous, 20))
    };
    (0..CLIENTS).map(wait).collect()
}

/// Kolmogorov's and Smirnov's distance between the samples and a uniform `0.0..1.0`.
fn distance_from_uniform(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    let steps = f64::from(u32::try_from(samples.len()).unwrap());
    let step = |index: usize| f64::from(u32::try_from(index).unwrap()) / steps;
    let distance = |(index, sample): (usize, &f64)| {
        (sample - step(index)).abs().max((step(index + 1) - sample).abs())
    };
    samples.iter().enumerate().map(distance).fold(0.0, f64::max)
}

/// Where each wait lies in its range, which must be uniform for a spread without a
/// spike: 1.63/√n is passed by one of a hundred such sets by chance.
fn assert_spread(waits: &[Duration], places: Vec<f64>) {
    assert!(waits.iter().all(|wait| (Duration::from_nanos(1)..=CAP).contains(wait)), "{waits:?}");
    assert!(!waits.contains(&CAP), "a spike at the cap");
    let near_the_cap = waits.iter().filter(|wait| CAP.mul_f64(0.95) < **wait).count();
    assert!(near_the_cap <= 20, "{near_the_cap} of {CLIENTS} near the cap");
    let distance = distance_from_uniform(places);
    assert!(distance < 1.63 / f64::from(CLIENTS).sqrt(), "{distance}");
}

/// Behaviour 27.
#[test]
fn full_jitter_at_the_cap_is_spread_from_zero_to_the_cap() {
    let waits: Vec<_> = waits_at_the_cap(Jitter::Full).into_iter().map(|(_, wait)| wait).collect();
    let places = waits.iter().map(Duration::as_secs_f64).collect();
    assert_spread(&waits, places);
}

/// Behaviour 27.
#[test]
fn equal_jitter_at_the_cap_is_spread_over_its_upper_half() {
    let waits: Vec<_> = waits_at_the_cap(Jitter::Equal).into_iter().map(|(_, wait)| wait).collect();
    let places = waits.iter().map(|wait| wait.as_secs_f64() * 2.0 - 1.0).collect();
    assert_spread(&waits, places);
}

/// Behaviour 27.
#[test]
fn decorrelated_jitter_at_the_cap_is_spread_over_what_the_wait_before_allows() {
    let waits = waits_at_the_cap(Jitter::Decorrelated);
    let base = Backoff::default().base.as_secs_f64();
    let place = |(previous, wait): &(Duration, Duration)| {
        let bound = (previous.as_secs_f64() * 3.0).min(1.0);
        (wait.as_secs_f64() - base) / (bound - base)
    };
    let places = waits.iter().map(place).collect();
    let waits: Vec<_> = waits.into_iter().map(|(_, wait)| wait).collect();
    assert_spread(&waits, places);
}

#[test]
fn the_measure_of_spread_sees_a_spike_at_the_cap() {
    let spiked = (0..CLIENTS).map(|client| (f64::from(client) / 50.0).min(1.0)).collect();
    assert!(distance_from_uniform(spiked) > 0.4);
}

#[test]
fn the_bound_doubles_with_each_retry_up_to_the_cap() {
    let random = Random::seeded(1);
    for (retry, bound) in [(0, 25), (1, 50), (2, 100), (5, 800), (6, 1_000), (4_000, 1_000)] {
        let bound = Duration::from_millis(bound);
        let delays: Vec<_> = (0..1_000)
            .map(|_| backoff(Jitter::Full).delay(retry, Duration::ZERO, &random))
            .collect();
        let longest = *delays.iter().max().unwrap();
        assert!(longest <= bound && bound.mul_f64(0.98) < longest, "{retry}: {longest:?}");
    }
}

#[test]
fn a_base_above_the_cap_is_still_random() {
    let random = Random::seeded(1);
    for jitter in [Jitter::Full, Jitter::Equal, Jitter::Decorrelated] {
        let backoff = Backoff { base: CAP * 2, cap: CAP, jitter };
        let delays: Vec<_> = (0..10).map(|retry| backoff.delay(retry, CAP, &random)).collect();
        let earliest = *delays.iter().min().unwrap();
        let latest = *delays.iter().max().unwrap();
        assert!(latest < CAP && earliest + CAP.mul_f64(0.1) < latest, "{jitter:?}: {delays:?}");
    }
}

#[test]
fn a_wait_without_an_end_does_not_overflow() {
    let random = Random::seeded(1);
    for jitter in [Jitter::Full, Jitter::Equal, Jitter::Decorrelated] {
        let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::MAX, jitter };
        assert!(backoff.delay(u32::MAX, Duration::MAX, &random) < Duration::MAX, "{jitter:?}");
    }
}
