//! How long it stays open, and how it comes back.

use super::*;
use crate::core::outcome::Pushback;

/// The waits of so many trips in a row.
fn waits(rig: &Rig, count: usize) -> Vec<Duration> {
    let again = |_| {
        let wait = rig.wait();
        rig.call(UNAVAILABLE);
        wait
    };
    (0..count).map(again).collect()
}

/// Behaviour 13.
#[test]
fn waits_double_up_to_a_cap_and_are_random_to_the_half() {
    for seed in 0..200 {
        let rig = Rig::seeded(Settings::default(), seed);
        rig.trip();
        let bounds = [1, 2, 4, 8, 16, 30, 30, 30].map(Duration::from_secs);
        for (wait, bound) in waits(&rig, 8).into_iter().zip(bounds) {
            assert!((bound / 2..=bound).contains(&wait), "{wait:?} of {bound:?}");
        }
    }
}

/// Behaviour 13.
#[test]
fn two_instances_wait_differently_also_at_the_cap() {
    let of_seed = |seed| {
        let rig = Rig::seeded(Settings::default(), seed);
        rig.trip();
        waits(&rig, 12)
    };
    for (one, other) in of_seed(1).into_iter().zip(of_seed(2)) {
        assert_ne!(one, other);
    }
}

/// Behaviour 13.
#[test]
fn a_peer_that_asks_for_seven_seconds_gets_them() {
    let hold_off = |seconds| {
        let pushback = Some(Pushback::After(Duration::from_secs(seconds)));
        UNAVAILABLE.with_pushback(pushback)
    };
    let rig = Rig::new(Settings::default());
    rig.calls(5, hold_off(7));
    assert_eq!(rig.wait(), Duration::from_secs(7), "longer than its own wait");
    rig.call(hold_off(100));
    assert_eq!(rig.wait(), 60 * SECOND, "no longer than the cap");
    rig.call(UNAVAILABLE.with_pushback(Some(Pushback::Stop)));
    assert!(rig.wait() <= 4 * SECOND, "its own wait");
    rig.call(hold_off(1));
    assert!(rig.wait() >= 4 * SECOND, "its own wait is longer");
}

#[test]
fn a_peer_that_let_calls_wait_gets_time_for_what_it_has() {
    let bounds = [(100, 1_000), (750, 2_250), (1_000, 3_000), (9_000, 3_000)];
    for (took, bound) in bounds.map(|(took, bound)| (took * MILLISECOND, bound * MILLISECOND)) {
        for seed in 0..50 {
            let rig = Rig::seeded(Settings::default(), seed);
            (0..5).for_each(|_| rig.call_for(took, UNAVAILABLE));
            let wait = rig.wait();
            assert!((bound / 2..=bound).contains(&wait), "{wait:?} after {took:?}");
            // The first wait alone: the next ones double as ever.
            rig.call_for(took, UNAVAILABLE);
            assert!(rig.wait() >= (bound / 2).max(SECOND));
            rig.call_for(took, UNAVAILABLE);
            assert!((2 * SECOND..=4 * SECOND).contains(&rig.wait()));
        }
    }
}

#[test]
fn a_load_that_fell_while_it_was_open_passes_almost_at_once() {
    let rig = Rig::new(Settings::default());
    for _ in 0..1_000 {
        rig.call(Verdict::SUCCESS);
        rig.advance(MILLISECOND);
    }
    rig.trip();
    rig.wait();
    rig.calls(3, Verdict::SUCCESS);
    rig.advance(100 * MILLISECOND);
    // A tenth of the rate before.
    for _ in 0..100 {
        rig.call(Verdict::SUCCESS);
        rig.advance(10 * MILLISECOND);
    }
}

#[test]
fn it_stays_open_to_the_end_of_the_wait_and_not_beyond() {
    let rig = Rig::opened(Settings::default());
    let wait = rig.breaker.try_acquire(rig.now()).unwrap_err().retry_after;
    rig.advance(wait.saturating_sub(Duration::from_nanos(1)));
    let rejected = rig.breaker.try_acquire(rig.now()).unwrap_err();
    assert_eq!((rejected.state, rejected.retry_after), (State::Open, Duration::from_nanos(1)));
    assert_eq!(rig.state(), State::Open);
    rig.advance(Duration::from_nanos(1));
    assert_eq!(rig.state(), State::HalfOpen);
    rig.acquire().record(&Verdict::SUCCESS, rig.now());
}

#[test]
fn counts_from_before_a_trip_never_come_back() {
    let settings = Settings { ramp: Duration::ZERO, open_base: MILLISECOND, ..Settings::default() };
    let rig = Rig::new(Settings { open_cap: MILLISECOND, ..settings });
    rig.calls(100, Verdict::SUCCESS);
    for _ in 0..50 {
        rig.trip();
        rig.wait();
        rig.calls(3, Verdict::SUCCESS);
        assert_eq!(rig.totals(), super::super::Totals::default());
    }
    assert!(rig.now() < Time::ZERO + SECOND, "all of it is within one window");
}

#[test]
fn trips_are_forgotten_after_a_minute_without_one() {
    let trips_after = |closed_for: Duration| {
        let rig = Rig::waited(Settings::default());
        rig.calls(3, Verdict::SUCCESS);
        rig.advance(closed_for);
        // What is seen before the next trip and what that trip finds are one.
        let before = rig.breaker.snapshot(rig.now()).trips_in_a_row;
        rig.trip();
        (before, rig.breaker.snapshot(rig.now()).trips_in_a_row)
    };
    assert_eq!(trips_after(59 * SECOND), (1, 2));
    assert_eq!(trips_after(60 * SECOND), (0, 1));
}

/// Behaviour 15.
#[test]
fn after_it_closes_the_admitted_share_grows_from_a_tenth_to_all_in_five_seconds() {
    const CALLS: u32 = 500;
    let rig = Rig::waited(Settings::default());
    rig.calls(3, Verdict::SUCCESS);
    // A thousand calls a second, looked at in pieces of half a second.
    for piece in 0..10 {
        let mut admitted = 0;
        for _ in 0..CALLS {
            match rig.breaker.try_acquire(rig.now()) {
                Ok(permit) => {
                    admitted += 1;
                    permit.record(&Verdict::SUCCESS, rig.now());
                }
                Err(rejected) => {
                    assert!(rejected.is_ramp());
                    assert_eq!(rejected.state, State::Closed);
                    assert!(rejected.retry_after <= SECOND);
                }
            }
            rig.advance(MILLISECOND);
        }
        let share = f64::from(admitted) / f64::from(CALLS);
        let middle = 0.1 + 0.9 * (f64::from(piece) + 0.5) / 10.0;
        assert!((share - middle).abs() < 0.07, "{share} instead of {middle} in piece {piece}");
    }
    rig.calls(5_000, Verdict::SUCCESS);
    assert_eq!(rig.breaker.snapshot(rig.now()).admitted_share, None);
}

#[test]
fn the_ramp_begins_at_a_tenth() {
    let rig = Rig::waited(Settings::default());
    rig.calls(3, Verdict::SUCCESS);
    let admitted = (0..10_000).filter(|_| !rig.is_rejected()).count();
    assert!((900..1_100).contains(&admitted), "{admitted} of 10000");
    assert_eq!(rig.breaker.snapshot(rig.now()).admitted_share, Some(0.1));
}

#[test]
fn without_a_ramp_all_come_back_at_once() {
    let rig = Rig::waited(Settings { ramp: Duration::ZERO, ..Settings::default() });
    rig.calls(3, Verdict::SUCCESS);
    rig.calls(1_000, Verdict::SUCCESS);
    assert_eq!(rig.totals().calls, 1_000);
}

#[test]
fn it_can_open_again_during_the_ramp() {
    let rig = Rig::waited(Settings::default());
    rig.calls(3, Verdict::SUCCESS);
    let mut failures = 0;
    while rig.state() == State::Closed {
        if let Ok(permit) = rig.breaker.try_acquire(rig.now()) {
            permit.record(&UNAVAILABLE, rig.now());
            failures += 1;
        }
    }
    assert_eq!(failures, 5);
    assert_eq!(rig.breaker.snapshot(rig.now()).trips_in_a_row, 2);
}
