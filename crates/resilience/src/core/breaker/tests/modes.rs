//! What operators can do to it.

use super::*;

/// Behaviour 14.
#[test]
fn forced_open_rejects_all() {
    let rig = Rig::new(Settings::default());
    let early = rig.acquire();
    rig.breaker.set_mode(Mode::ForcedOpen, rig.now());
    for _ in 0..1_000 {
        let rejected = rig.breaker.try_acquire(rig.now()).unwrap_err();
        assert_eq!((rejected.mode, rejected.state), (Mode::ForcedOpen, State::Open));
        assert_eq!(rejected.retry_after, 30 * SECOND);
        rig.advance(SECOND);
    }
    assert_eq!(rig.state(), State::Open, "no wait ends it");
    early.record(&Verdict::SUCCESS, rig.now());
    assert_eq!(rig.stale(), 1);
    assert_eq!(rig.changes(), [(State::Closed, State::Open, Reason::Forced)]);
}

/// Behaviour 14.
#[test]
fn disabled_admits_all_and_records_nothing() {
    let rig = Rig::opened(Settings::default());
    rig.breaker.set_mode(Mode::Disabled, rig.now());
    rig.calls(1_000, UNAVAILABLE);
    drop(rig.acquire());
    assert_eq!(rig.totals(), super::super::Totals::default());
    assert_eq!((rig.state(), rig.stale()), (State::Closed, 0));
    assert_eq!(rig.breaker.snapshot(rig.now()).consecutive_failures, 0);
    assert_eq!(rig.changes().last(), Some(&(State::Open, State::Closed, Reason::Forced)));
}

/// Behaviour 14.
#[test]
fn metrics_only_admits_all_records_and_says_once_when_it_would_open() {
    let rig = Rig::new(Settings::default());
    rig.breaker.set_mode(Mode::MetricsOnly, rig.now());
    rig.calls(4, UNAVAILABLE);
    assert_eq!(rig.would_open(), 0);
    rig.call(UNAVAILABLE);
    assert_eq!(rig.would_open(), 1);

    rig.calls(1_000, UNAVAILABLE);
    rig.advance(2 * SECOND);
    rig.calls(1_000, UNAVAILABLE);

    assert_eq!(rig.would_open(), 1, "it is still the same outage");
    assert_eq!(rig.totals().failures, 2_005);
    assert_eq!((rig.state(), rig.changes().len()), (State::Closed, 0));
}

/// Behaviour 14.
#[test]
fn metrics_only_speaks_again_when_another_outage_begins() {
    let rig = Rig::new(Settings { failure_rate: None, ..Settings::default() });
    rig.breaker.set_mode(Mode::MetricsOnly, rig.now());
    for outage in 1..=3 {
        rig.calls(50, UNAVAILABLE);
        assert_eq!(rig.would_open(), outage);
        rig.calls(50, Verdict::SUCCESS);
        rig.calls(6, UNAVAILABLE);
        assert_eq!(rig.would_open(), outage, "it would still be open");
        rig.calls(50, Verdict::SUCCESS);
        rig.advance(5 * SECOND);
    }
}

#[test]
fn an_outage_goes_on_while_the_peer_asks_for_less() {
    let rig = Rig::new(Settings { failure_rate: None, ..Settings::default() });
    rig.breaker.set_mode(Mode::MetricsOnly, rig.now());
    rig.calls(5, UNAVAILABLE);
    rig.advance(2 * SECOND);
    rig.call(RESOURCE_EXHAUSTED);
    rig.call(UNAVAILABLE);
    assert_eq!(rig.would_open(), 1);
}

#[test]
fn metrics_only_counts_trips_in_a_row() {
    let rig = Rig::new(Settings { failure_rate: None, ..Settings::default() });
    rig.breaker.set_mode(Mode::MetricsOnly, rig.now());
    rig.advance(100 * SECOND);
    let trips = [1, 2, 1].map(|trips| {
        rig.calls(5, UNAVAILABLE);
        rig.calls(1, Verdict::SUCCESS);
        rig.call(UNAVAILABLE);
        rig.call(Verdict::SUCCESS);
        let found = rig.breaker.snapshot(rig.now()).trips_in_a_row;
        rig.advance(if trips == 1 { 5 * SECOND } else { 70 * SECOND });
        found
    });
    assert_eq!(trips, [1, 2, 1]);
}

#[test]
fn back_from_forced_open_the_calls_come_by_the_ramp() {
    let rig = Rig::new(Settings::default());
    rig.breaker.set_mode(Mode::ForcedOpen, rig.now());
    rig.breaker.set_mode(Mode::Normal, rig.now());
    let admitted = (0..1_000).filter(|_| !rig.is_rejected()).count();
    assert!((50..200).contains(&admitted), "{admitted} of 1000");
    assert_eq!(rig.changes().last(), Some(&(State::Open, State::Closed, Reason::Forced)));
}

#[test]
fn a_change_of_the_mode_begins_anew() {
    let rig = Rig::new(Settings::default());
    rig.calls(5, UNAVAILABLE);
    assert_eq!(rig.breaker.snapshot(rig.now()).trips_in_a_row, 1);
    rig.breaker.set_mode(Mode::MetricsOnly, rig.now());
    rig.calls(4, UNAVAILABLE);
    rig.breaker.set_mode(Mode::Normal, rig.now());
    assert_eq!(rig.breaker.snapshot(rig.now()).trips_in_a_row, 0);
    rig.calls(4, UNAVAILABLE);
    assert_eq!(rig.totals().calls, 4);
    assert_eq!(rig.state(), State::Closed);
    rig.breaker.set_mode(Mode::Normal, rig.now());
    assert_eq!(rig.totals().calls, 4, "it had that mode already");
    assert_eq!(rig.heard.0.lock().unwrap().len(), 4, "two modes, open, and closed for that");
}

/// Behaviour 18.
#[test]
fn permits_settle_after_the_settings_changed_under_them() {
    let rig = Rig::new(Settings::default());
    let in_flight: Vec<_> = (0..6).map(|_| rig.acquire()).collect();
    let settings = Settings { consecutive_failures: Some(6), probes: 1, ..Settings::default() };
    rig.breaker.reconfigure(settings).unwrap();

    let mut in_flight = in_flight.into_iter();
    in_flight.by_ref().take(5).for_each(|permit| permit.record(&UNAVAILABLE, rig.now()));
    assert_eq!((rig.state(), rig.totals().failures), (State::Closed, 5), "the new limit is six");
    in_flight.for_each(|permit| permit.record(&UNAVAILABLE, rig.now()));
    assert_eq!(rig.state(), State::Open);

    rig.wait();
    rig.call(Verdict::SUCCESS);
    assert_eq!(rig.state(), State::Closed, "one probe is enough now");
}

/// Behaviour 18.
#[test]
fn what_is_slow_can_change_while_it_runs() {
    let rig = Rig::new(Settings::default());
    let early = rig.acquire();
    let settings = Settings { slow: Some(SECOND), ..Settings::default() };
    rig.breaker.reconfigure(settings).unwrap();
    let late = rig.acquire();
    rig.advance(SECOND);
    early.record(&Verdict::SUCCESS, rig.now());
    assert_eq!(rig.totals().slow, 0, "it was admitted when no call was slow");
    late.record(&Verdict::SUCCESS, rig.now());
    assert_eq!(rig.totals().slow, 1);
}

#[test]
fn counts_of_an_earlier_mode_never_come_back() {
    let rig = Rig::new(Settings::default());
    rig.calls(100, Verdict::SUCCESS);
    for _ in 0..40 {
        for mode in [Mode::MetricsOnly, Mode::Normal] {
            rig.breaker.set_mode(mode, rig.now());
            assert_eq!(rig.totals(), super::super::Totals::default());
        }
    }
}

/// Behaviour 18.
#[test]
fn a_window_of_another_length_counts_nothing_that_was_in_flight() {
    let rig = Rig::new(Settings::default());
    rig.calls(4, UNAVAILABLE);
    let in_flight: Vec<_> = (0..100).map(|_| rig.acquire()).collect();
    let settings = Settings { window: 60 * SECOND, ..Settings::default() };
    rig.breaker.reconfigure(settings).unwrap();

    for (permit, verdict) in in_flight.into_iter().zip([UNAVAILABLE, Verdict::SUCCESS].repeat(50)) {
        permit.record(&verdict, rig.now());
    }

    assert_eq!(rig.totals(), super::super::Totals::default());
    assert_eq!((rig.state(), rig.stale(), rig.changes().len()), (State::Closed, 100, 0));
    rig.call(Verdict::SUCCESS);
    rig.advance(50 * SECOND);
    assert_eq!(rig.totals().calls, 1, "the new window is a minute long");
}

/// Behaviour 18.
#[test]
fn probes_settle_after_the_settings_changed_under_them() {
    let rig = Rig::waited(Settings { probes: 15, ..Settings::default() });
    let probes: Vec<_> = (0..15).map(|_| rig.acquire()).collect();
    let settings = Settings { probes: 2, window: 60 * SECOND, ..Settings::default() };
    rig.breaker.reconfigure(settings).unwrap();
    assert!(rig.is_rejected(), "more are out than may be");

    for permit in probes {
        permit.record(&Verdict::SUCCESS, rig.now());
    }

    assert_eq!(rig.state(), State::Closed);
    assert_eq!((rig.stale(), rig.totals().calls), (13, 0));
}

#[test]
fn settings_that_make_no_sense_change_nothing() {
    let rig = Rig::new(Settings::default());
    let settings = Settings { consecutive_failures: Some(1), probes: 16, ..Settings::default() };
    assert!(rig.breaker.reconfigure(settings).is_err());
    rig.calls(4, UNAVAILABLE);
    assert_eq!(rig.state(), State::Closed);
}
