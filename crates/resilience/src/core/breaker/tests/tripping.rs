//! When a closed breaker opens.

use proptest::prelude::*;

use super::*;

fn slow_after(slow: Duration) -> Settings {
    Settings { slow: Some(slow), ..Settings::default() }
}

/// Behaviour 1.
#[test]
fn a_long_healthy_past_does_not_hide_a_failing_present() {
    let rig = Rig::new(Settings::default());
    for _ in 0..100_000 {
        rig.call(Verdict::SUCCESS);
        rig.advance(MILLISECOND);
    }
    let began = rig.now();
    let mut calls = 0;
    while rig.state() == State::Closed {
        calls += 1;
        rig.call(if calls % 2 == 0 { UNAVAILABLE } else { Verdict::SUCCESS });
        rig.advance(MILLISECOND);
        assert!(calls <= 10_000, "still closed after a window in which half of it failed");
    }
    assert!(calls >= 20);
    assert!(rig.now().since(began) <= 10 * SECOND);
    assert_eq!(rig.changes(), [(State::Closed, State::Open, Reason::FailureRate)]);
}

/// Behaviour 2.
#[test]
fn a_rate_is_not_looked_at_before_there_are_enough_calls() {
    let rig = Rig::new(Settings { consecutive_failures: None, ..Settings::default() });
    rig.calls(19, UNAVAILABLE);
    assert_eq!(rig.state(), State::Closed);
    rig.call(UNAVAILABLE);
    assert_eq!(rig.state(), State::Open);
    assert_eq!(rig.changes(), [(State::Closed, State::Open, Reason::FailureRate)]);
}

/// Behaviour 3.
#[test]
fn five_failures_in_a_row_open_it() {
    let rig = Rig::new(Settings::default());
    rig.calls(4, UNAVAILABLE);
    assert_eq!(rig.state(), State::Closed);
    rig.call(UNAVAILABLE);
    assert_eq!(rig.state(), State::Open);
    assert_eq!(rig.changes(), [(State::Closed, State::Open, Reason::Consecutive)]);
}

/// Behaviour 3.
#[test]
fn a_success_ends_a_row_of_failures() {
    let rig = Rig::new(Settings::default());
    rig.calls(4, UNAVAILABLE);
    rig.call(Verdict::SUCCESS);
    rig.calls(4, UNAVAILABLE);
    assert_eq!(rig.state(), State::Closed);
    rig.call(UNAVAILABLE);
    assert_eq!(rig.state(), State::Open);
}

/// Behaviour 4.
#[test]
fn refusals_are_successes() {
    // NOT_FOUND, INVALID_ARGUMENT and PERMISSION_DENIED are all this verdict.
    let rig = Rig::new(Settings::default());
    rig.calls(1_000, Verdict::new(Health::Success, RetrySafety::Never));
    assert_eq!(rig.state(), State::Closed);
    let snapshot = rig.breaker.snapshot(rig.now());
    assert_eq!(snapshot.window.calls, 1_000);
    assert!(snapshot.failure_rate.abs() < f64::EPSILON);
}

/// Behaviour 5.
#[test]
fn calls_that_are_well_but_slow_open_it() {
    let rig = Rig::new(slow_after(Duration::from_millis(100)));
    for _ in 0..4 {
        rig.call_for(Duration::from_millis(99), Verdict::SUCCESS);
    }
    for slow in 1..=16 {
        assert_eq!(rig.state(), State::Closed, "after {} slow of {}", slow - 1, slow + 3);
        rig.call_for(Duration::from_millis(100), Verdict::SUCCESS);
    }
    assert_eq!(rig.state(), State::Open);
    assert_eq!(rig.changes(), [(State::Closed, State::Open, Reason::SlowRate)]);
}

#[test]
fn a_permit_can_have_its_own_idea_of_slow() {
    let rig = Rig::new(slow_after(Duration::from_millis(100)));
    for slow in [None, Some(SECOND)] {
        let permit = rig.acquire().slow_after(slow);
        rig.advance(Duration::from_millis(200));
        permit.record(&Verdict::SUCCESS, rig.now());
    }
    assert_eq!(rig.totals().slow, 0);
    let permit = rig.acquire().slow_after(Some(MILLISECOND));
    rig.advance(MILLISECOND);
    permit.record(&Verdict::SUCCESS, rig.now());
    assert_eq!(rig.totals().slow, 1);
}

#[test]
fn a_peer_that_asks_for_less_counts_in_the_rate_but_not_in_the_row() {
    let rig = Rig::new(Settings::default());
    rig.calls(4, UNAVAILABLE);
    rig.calls(10, RESOURCE_EXHAUSTED);
    assert_eq!(rig.state(), State::Closed, "neither five in a row nor twenty calls");
    rig.call(UNAVAILABLE);
    assert_eq!(rig.changes(), [(State::Closed, State::Open, Reason::Consecutive)]);

    let rig = Rig::new(Settings::default());
    rig.calls(19, RESOURCE_EXHAUSTED);
    assert_eq!(rig.state(), State::Closed);
    rig.call(RESOURCE_EXHAUSTED);
    assert_eq!(rig.changes(), [(State::Closed, State::Open, Reason::FailureRate)]);
}

#[test]
fn an_outcome_that_says_nothing_is_not_counted() {
    let rig = Rig::new(Settings::default());
    rig.calls(4, UNAVAILABLE);
    rig.calls(100, Verdict::IGNORE);
    assert_eq!(rig.totals().calls, 4);
    rig.call(UNAVAILABLE);
    assert_eq!(rig.state(), State::Open, "the row was not broken");
}

/// Behaviour 12.
#[test]
fn calls_that_are_cut_late_open_it_and_calls_that_are_cut_soon_do_not() {
    let late = Duration::from_millis(800);
    let one_at_a_time = |settings: &Settings, cut: Duration| {
        let rig = Rig::new(settings.clone());
        for _ in 0..200 {
            let Ok(permit) = rig.breaker.try_acquire(rig.now()) else { break };
            rig.advance(cut);
            drop(permit);
        }
        rig.state()
    };
    let all_at_once = |settings: &Settings, cut: Duration| {
        let rig = Rig::new(settings.clone());
        let permits: Vec<_> = (0..200).map(|_| rig.acquire()).collect();
        rig.advance(cut);
        drop(permits);
        rig.state()
    };
    let slow = slow_after(late);
    let limit = Settings { cancel_counts_after: Some(late), ..Settings::default() };
    for settings in [slow, limit] {
        assert_eq!(one_at_a_time(&settings, late), State::Open);
        assert_eq!(all_at_once(&settings, late), State::Open);
        assert_eq!(one_at_a_time(&settings, MILLISECOND), State::Closed);
        assert_eq!(all_at_once(&settings, MILLISECOND), State::Closed);
    }
    let without = Settings::default();
    assert_eq!(all_at_once(&without, 60 * SECOND), State::Closed, "nobody said what is late");
}

/// Behaviour 11.
#[test]
fn a_panic_while_a_permit_is_held_is_a_failure_and_goes_on() {
    let rig = Rig::new(Settings::default());
    for _ in 0..5 {
        let call = std::panic::AssertUnwindSafe(|| {
            let _permit = rig.acquire();
            panic!("the caller's own mistake");
        });
        let panic = std::panic::catch_unwind(call).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"the caller's own mistake"));
    }
    assert_eq!(rig.changes(), [(State::Closed, State::Open, Reason::Consecutive)]);
}

#[derive(Clone, Copy, Debug)]
enum End {
    Success,
    Failure,
    Degraded,
    Ignore,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Against a list of all outcomes, added up after each.
    #[test]
    fn it_opens_exactly_when_a_rule_says_so(
        calls in prop::collection::vec(
            (
                prop_oneof![
                    5 => Just(End::Success), 3 => Just(End::Failure),
                    1 => Just(End::Degraded), 1 => Just(End::Ignore),
                ],
                0_u64..150,
                0_u64..900,
            ),
            1..200,
        ),
    ) {
        let rig = Rig::new(slow_after(Duration::from_millis(100)));
        let (mut outcomes, mut row) = (Vec::new(), 0);
        for (end, duration, pause) in calls {
            let (verdict, is_bad) = match end {
                End::Success => (Verdict::SUCCESS, false),
                End::Failure => (UNAVAILABLE, true),
                End::Degraded => (RESOURCE_EXHAUSTED, true),
                End::Ignore => (Verdict::IGNORE, false),
            };
            rig.call_for(Duration::from_millis(duration), verdict);
            let bucket = rig.now().as_nanos() / 1_000_000_000;
            let is_slow = duration >= 100;
            match end {
                End::Success => row = 0,
                End::Failure => row += 1,
                End::Degraded | End::Ignore => {}
            }
            if !matches!(end, End::Ignore) {
                outcomes.push((bucket, is_bad, is_slow));
            }
            outcomes.retain(|(at, ..)| at + 10 > bucket);
            let count = |of: fn(&(u64, bool, bool)) -> bool| {
                outcomes.iter().filter(|outcome| of(outcome)).count()
            };
            let (bad, slow) = (count(|outcome| outcome.1), count(|outcome| outcome.2));
            let is_judged = is_bad || (is_slow && !matches!(end, End::Ignore));
            let is_enough = outcomes.len() >= 20;
            let reason = if row >= 5 {
                Some(Reason::Consecutive)
            } else if is_judged && is_enough && bad * 2 >= outcomes.len() {
                Some(Reason::FailureRate)
            } else if is_judged && is_enough && slow * 5 >= outcomes.len() * 4 {
                Some(Reason::SlowRate)
            } else {
                None
            };
            let changes: Vec<_> = reason
                .map(|reason| (State::Closed, State::Open, reason)).into_iter().collect();
            prop_assert_eq!(rig.changes(), changes);
            if reason.is_some() {
                break;
            }
            rig.advance(Duration::from_millis(pause));
        }
    }
}
