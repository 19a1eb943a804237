//! How it finds out whether the peer is well again.

use std::sync::Barrier;

use super::*;

const PROBES: usize = 3;

/// Behaviour 6.
#[test]
fn of_a_thousand_calls_after_the_wait_exactly_three_reach_the_peer() {
    let rig = Rig::waited(Settings::default());
    let (start, end) = (Barrier::new(1_000), Barrier::new(1_000));
    let reached = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..1_000 {
            scope.spawn(|| {
                start.wait();
                let permit = rig.breaker.try_acquire(rig.now());
                reached.fetch_add(u64::from(permit.is_ok()), Ordering::Relaxed);
                // All are still out when the last one asks.
                end.wait();
                drop(permit);
            });
        }
    });
    assert_eq!(reached.load(Ordering::Relaxed), 3);
    assert_eq!(rig.changes().last(), Some(&(State::Open, State::HalfOpen, Reason::WaitOver)));
    assert_eq!(rig.changes().len(), 2);
}

#[test]
fn three_successes_in_a_row_close_it() {
    let rig = Rig::waited(Settings::default());
    for _ in 0..2 {
        rig.call(Verdict::SUCCESS);
        assert_eq!(rig.state(), State::HalfOpen);
    }
    rig.call(Verdict::SUCCESS);
    assert_eq!(rig.state(), State::Closed);
    assert_eq!(rig.changes().last(), Some(&(State::HalfOpen, State::Closed, Reason::Recovered)));
    assert_eq!(rig.totals().calls, 0, "the time before says nothing about the time after");
}

/// Behaviour 7.
#[test]
fn a_call_from_before_the_trip_says_nothing_about_a_half_open_breaker() {
    for verdict in [UNAVAILABLE, Verdict::SUCCESS, RESOURCE_EXHAUSTED] {
        let rig = Rig::new(Settings { probes: 1, ..Settings::default() });
        let early = rig.acquire();
        rig.trip();
        rig.wait();
        let probe = rig.acquire();
        assert_eq!((rig.state(), rig.stale()), (State::HalfOpen, 0));

        early.record(&verdict, rig.now());

        assert_eq!((rig.state(), rig.stale()), (State::HalfOpen, 1));
        assert!(rig.is_rejected(), "the place of the probe is still taken");
        assert_eq!(rig.counted.counter("resilience_breaker_stale_outcomes_total", &[]), 1);
        probe.record(&Verdict::SUCCESS, rig.now());
        assert_eq!(rig.state(), State::Closed);
    }
}

#[test]
fn a_probe_from_before_the_last_trip_says_nothing() {
    let rig = Rig::waited(Settings::default());
    let early = rig.acquire();
    rig.call(UNAVAILABLE);
    rig.wait();
    rig.calls(2, Verdict::SUCCESS);
    early.record(&Verdict::SUCCESS, rig.now());
    assert_eq!((rig.state(), rig.stale()), (State::HalfOpen, 1));
}

/// Behaviour 8.
#[test]
fn a_probe_that_is_dropped_soon_gives_its_place_back_and_no_verdict() {
    let rig = Rig::waited(Settings::default());
    for _ in 0..100 {
        let permits: Vec<_> = (0..PROBES).map(|_| rig.acquire()).collect();
        assert!(rig.is_rejected());
        drop(permits);
        assert_eq!(rig.state(), State::HalfOpen);
        rig.advance(MILLISECOND);
    }
    rig.calls(2, Verdict::SUCCESS);
    rig.calls(10, Verdict::IGNORE);
    assert_eq!(rig.state(), State::HalfOpen);
    rig.call(Verdict::SUCCESS);
    assert_eq!(rig.state(), State::Closed);
}

#[test]
fn a_probe_that_is_dropped_late_has_failed() {
    let slow = Settings { slow: Some(SECOND), ..Settings::default() };
    for (settings, late) in [(slow, SECOND), (Settings::default(), 10 * SECOND)] {
        let rig = Rig::waited(settings);
        let probe = rig.acquire();
        rig.advance(late);
        drop(probe);
        assert_eq!(rig.state(), State::Open);
    }
}

#[test]
fn a_call_that_says_nothing_is_not_stale_either() {
    let rig = Rig::new(Settings::default());
    let early = rig.acquire();
    rig.trip();
    rig.wait();
    let probe = rig.acquire();
    rig.call(UNAVAILABLE);
    drop((early, probe));
    assert_eq!(rig.stale(), 0);
}

/// Behaviour 9.
#[test]
fn a_probe_that_never_ends_cannot_wedge_the_breaker() {
    let rig = Rig::waited(Settings::default());
    let hung: Vec<_> = (0..PROBES).map(|_| rig.acquire()).collect();
    rig.advance(Duration::from_millis(9_999));
    assert_eq!(rig.breaker.try_acquire(rig.now()).unwrap_err().state, State::HalfOpen);
    rig.advance(MILLISECOND);

    let rejected = rig.breaker.try_acquire(rig.now()).unwrap_err();

    assert_eq!(rejected.state, State::Open);
    assert!((SECOND..=2 * SECOND).contains(&rejected.retry_after), "the wait of a second trip");
    assert_eq!(rig.breaker.snapshot(rig.now()).trips_in_a_row, 2);
    assert_eq!(rig.changes().last(), Some(&(State::HalfOpen, State::Open, Reason::ProbeLost)));
    rig.wait();
    rig.calls(3, Verdict::SUCCESS);
    assert_eq!(rig.state(), State::Closed);
    for permit in hung {
        permit.record(&UNAVAILABLE, rig.now());
    }
    assert_eq!((rig.state(), rig.stale()), (State::Closed, 3));
}

#[test]
fn a_probe_that_is_forgotten_cannot_wedge_the_breaker() {
    let rig = Rig::waited(Settings::default());
    (0..PROBES).for_each(|_| std::mem::forget(rig.acquire()));
    rig.advance(10 * SECOND);
    assert!(rig.is_rejected());
    rig.wait();
    rig.calls(3, Verdict::SUCCESS);
    assert_eq!(rig.state(), State::Closed);
}

#[test]
fn a_lost_probe_is_a_failure_also_if_nobody_asked_meanwhile() {
    let rig = Rig::waited(Settings { probes: 1, ..Settings::default() });
    rig.call_for(10 * SECOND, Verdict::SUCCESS);
    assert_eq!(rig.state(), State::Open);
    assert_eq!(rig.changes().last(), Some(&(State::HalfOpen, State::Open, Reason::ProbeLost)));
}

/// Behaviour 10.
#[test]
fn a_probe_whose_peer_asks_for_less_has_failed() {
    let rig = Rig::waited(Settings::default());
    rig.calls(2, Verdict::SUCCESS);
    rig.call(RESOURCE_EXHAUSTED);
    assert_eq!(rig.state(), State::Open);
    assert_eq!(rig.changes().last(), Some(&(State::HalfOpen, State::Open, Reason::ProbeFailed)));
}

/// Behaviour 10.
#[test]
fn a_probe_that_is_refused_has_succeeded() {
    let rig = Rig::waited(Settings::default());
    let invalid_argument = Verdict::new(Health::Success, RetrySafety::Never);
    rig.calls(3, invalid_argument);
    assert_eq!(rig.state(), State::Closed);
}

/// Behaviour 11.
#[test]
fn a_panic_of_a_probe_is_a_failure_and_leaks_no_place() {
    let rig = Rig::waited(Settings::default());
    let call = std::panic::AssertUnwindSafe(|| {
        let _probe = rig.acquire();
        panic!("the caller's own mistake");
    });
    assert!(std::panic::catch_unwind(call).is_err());
    assert_eq!(rig.state(), State::Open);
    rig.wait();
    let places: Vec<_> = (0..PROBES).map(|_| rig.acquire()).collect();
    assert!(rig.is_rejected());
    drop(places);
}

#[test]
fn a_full_half_open_breaker_says_when_to_ask_again() {
    let rig = Rig::waited(Settings::default());
    let _probes: Vec<_> = (0..PROBES).map(|_| rig.acquire()).collect();
    let rejected = rig.breaker.try_acquire(rig.now()).unwrap_err();
    assert_eq!((rejected.state, rejected.retry_after), (State::HalfOpen, SECOND));
    rig.advance(Duration::from_millis(9_900));
    let rejected = rig.breaker.try_acquire(rig.now()).unwrap_err();
    assert_eq!(rejected.retry_after, Duration::from_millis(100));
}
