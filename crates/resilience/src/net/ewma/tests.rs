use std::thread;

use super::*;

const RATES: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));
const PENALTY: Duration = Duration::from_secs(5);

fn rates() -> Rates {
    Rates::new(RATES.0, RATES.1)
}

fn at(milliseconds: u64) -> Time {
    Time::ZERO + Duration::from_millis(milliseconds)
}

/// A load that answered `count` calls in `latency`, one each 10 ms, up to now.
fn busy(count: u64, latency: Duration) -> (Load, Time) {
    let load = Load::new(latency, Time::ZERO);
    for call in 1..=count {
        load.answered(rates(), latency, at(call * 10));
        load.succeeded();
    }
    (load, at(count * 10))
}

fn cost(load: &Load, now: Time) -> f32 {
    load.cost(rates(), Tick::at(now)).seconds()
}

fn near(left: f32, right: f32, tolerance: f32) -> bool {
    (left - right).abs() <= tolerance * right.abs()
}

#[test]
fn a_slow_answer_counts_at_once_but_for_no_more_than_half_of_what_was_known() {
    let (load, now) = busy(1000, Duration::from_millis(20));
    load.answered(rates(), Duration::from_millis(25), now);
    assert!(near(cost(&load, now), 0.025, 1e-3));
    load.answered(rates(), Duration::from_secs(2), now);
    assert!(near(cost(&load, now), 0.0375, 1e-3));
}

#[test]
fn one_slow_answer_is_an_accident_and_the_fourth_a_habit() {
    let peer = Cost { latency: 0.02, penalty: 0.0 };
    let (load, now) = busy(1000, Duration::from_millis(20));
    for answer in 1..=4 {
        load.answered(rates(), Duration::from_secs(2), now);
        assert_eq!(load.cost(rates(), Tick::at(now)).is_like(peer), answer < 4, "{answer}");
    }
}

#[test]
fn a_peak_fades_by_a_third_in_the_decay_time() {
    let (load, now) = busy(1000, Duration::from_millis(20));
    for _ in 0..12 {
        load.answered(rates(), Duration::from_secs(2), now);
    }
    assert!(near(cost(&load, now), 2.0, 1e-3), "what goes on for long counts in full");

    for call in 1..=1000 {
        load.answered(rates(), Duration::from_millis(20), now + Duration::from_millis(call * 10));
    }
    let expected = 0.02 + (2.0 - 0.02) * (-1_f32).exp();
    let later = cost(&load, now + Duration::from_secs(10));
    assert!(near(later, expected, 0.01), "{later} is not {expected}");
}

#[test]
fn what_was_slow_before_a_silence_is_so_at_the_first_answer_after_it() {
    let (load, now) = busy(100, Duration::from_secs(1));
    let later = now + Duration::from_mins(1);
    assert!(cost(&load, later) < 0.01);
    load.answered(rates(), Duration::from_secs(1), later);
    assert!(near(cost(&load, later), 1.0, 1e-3));
}

#[test]
fn an_idle_endpoint_gets_cheaper_but_not_for_nothing() {
    let load = Load::new(Duration::from_secs(1), Time::ZERO);
    assert!(near(cost(&load, at(10_000)), (-1_f32).exp(), 0.01));
    assert!(cost(&load, at(10_000_000)) >= FLOOR);
}

#[test]
fn one_failure_among_a_thousand_successes_costs_less_than_a_hundredth() {
    let (load, now) = busy(1000, Duration::from_millis(20));
    let before = cost(&load, now);
    load.failed(rates(), PENALTY, now);
    assert!(cost(&load, now) < before * 1.01, "{before} became {}", cost(&load, now));
    assert!(cost(&load, now) > before);
}

#[test]
fn even_the_first_call_may_fail_for_less_than_a_tenth_of_the_penalty() {
    let load = Load::new(Duration::from_millis(20), Time::ZERO);
    load.failed(rates(), PENALTY, at(1));
    assert!(cost(&load, at(1)) < 0.1);
}

#[test]
fn fast_failures_cost_the_penalty_whatever_their_latency() {
    let load = Load::new(Duration::from_millis(1), Time::ZERO);
    for call in 0..1000 {
        load.failed(rates(), PENALTY, at(call));
    }
    assert!(cost(&load, at(1000)) > 4.5);
}

#[test]
fn a_habit_of_failing_fades_within_half_a_minute() {
    let load = Load::new(Duration::from_millis(20), Time::ZERO);
    for call in 0..100 {
        load.failed(rates(), PENALTY, at(call));
    }
    assert!(cost(&load, at(100)) > 4.0);
    assert!(cost(&load, at(30_000)) < 0.1, "it still costs {}", cost(&load, at(30_000)));
}

#[test]
fn a_call_that_was_given_up_can_only_make_an_endpoint_slower() {
    let (load, now) = busy(100, Duration::from_millis(20));
    load.unanswered(rates(), Duration::from_millis(1), now);
    assert!(near(cost(&load, now), 0.02, 0.01));
    load.unanswered(rates(), Duration::from_millis(300), now);
    assert!(near(cost(&load, now), 0.03, 0.01));
}

#[test]
fn what_was_forgiven_costs_nothing() {
    let (load, now) = busy(10, Duration::from_millis(20));
    load.failed(rates(), PENALTY, now);
    load.forgive();
    assert!(near(cost(&load, now), 0.02, 0.01));
}

#[test]
fn time_goes_on_when_the_tick_wraps() {
    let wrap = Time::from_nanos(1 << 52);
    let before = Time::from_nanos((1 << 52) - 1_000_000_000);
    let load = Load::new(Duration::from_secs(1), before);
    assert!(near(cost(&load, before + Duration::from_secs(10)), (-1_f32).exp(), 0.01));

    let (earlier, later) = (Tick::at(before), Tick::at(wrap));
    assert_eq!(later.since(earlier), 954);
    assert_eq!(earlier.since(later), 0, "another thread was faster");
    let month = Duration::from_hours(30 * 24);
    assert!(Tick::at(wrap + month).since(later) > 1 << 31, "a long silence is not a race");
}

#[test]
fn calls_are_counted_exactly_by_several_threads() {
    for _ in 0..200 {
        let load = Load::new(Duration::from_millis(20), Time::ZERO);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        load.succeeded();
                        load.failed(rates(), PENALTY, Time::ZERO);
                    }
                });
            }
        });
        let (_, recent) = load.read(rates(), Tick::at(Time::ZERO));
        assert_eq!(recent, Recent { calls: 400.0, failures: 200.0 });
    }
}

#[test]
fn a_long_good_past_is_forgotten_within_some_hundred_calls() {
    let (load, now) = busy(100_000, Duration::from_millis(20));
    for _ in 0..512 {
        load.failed(rates(), PENALTY, now);
    }
    assert!(cost(&load, now) > 1.5, "it costs only {}", cost(&load, now));
}

#[test]
fn each_stretch_of_time_is_applied_once_by_several_threads() {
    let load = Load::new(Duration::from_millis(20), Time::ZERO);
    for _ in 0..200 {
        load.succeeded();
        load.failed(rates(), PENALTY, Time::ZERO);
    }
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for millisecond in 0..5_000 {
                    load.answered(rates(), Duration::from_millis(20), at(millisecond));
                }
            });
        }
    });
    let (_, recent) = load.read(rates(), Tick::at(at(5_000)));
    let expected = 400.0 * (-1_f32).exp();
    assert!(near(recent.calls, expected, 0.01), "{} is not {expected}", recent.calls);
}
