//! Where the calls go.

use std::time::Duration;

use super::super::{Settings, Tried};
use super::world::{OUTAGE, World, address, always, flaky, healthy, milliseconds, seconds};
use crate::core::random::Random;
use crate::net::outlier;
use crate::observe::Event;
use crate::outcome::Verdict;

const CALLERS: usize = 64;

/// Nobody is left out: only the cost decides.
fn by_cost_alone() -> Settings {
    let outlier = outlier::Settings {
        consecutive_failures: None,
        failure_rate: None,
        success_rate: None,
        failure_percentage: None,
        ..outlier::Settings::default()
    };
    Settings { outlier, ..Settings::default() }
}

/// Behaviour 42.
#[test]
fn an_endpoint_that_fails_fast_gets_at_most_a_fiftieth() {
    let mut world = World::of(4);
    world.behave(0, always(1, OUTAGE));
    world.start(CALLERS);
    world.run(seconds(1));
    world.run(seconds(10));
    assert!(world.share(0) <= 0.02, "the failing one got {}", world.share(0));
    assert!(world.calls() > 25_000);
}

/// Behaviour 42.
#[test]
fn an_endpoint_that_fails_fast_gets_at_most_a_fiftieth_by_its_cost_alone() {
    let mut world = World::with(4, by_cost_alone());
    world.behave(0, always(1, OUTAGE));
    world.start(CALLERS);
    world.run(seconds(1));
    world.run(seconds(10));
    assert!(world.share(0) <= 0.02, "the failing one got {}", world.share(0));
}

#[test]
fn an_endpoint_that_begins_to_fail_fast_is_left_within_a_second() {
    let mut world = World::with(4, by_cost_alone());
    world.start(CALLERS);
    world.run(seconds(30));
    world.behave(0, always(1, OUTAGE));
    world.run(seconds(1));
    world.run(seconds(1));
    assert!(world.share(0) <= 0.02, "the failing one got {}", world.share(0));
}

#[test]
fn an_endpoint_that_fails_every_third_call_gets_less_than_a_tenth() {
    let mut world = World::with(4, by_cost_alone());
    world.behave(0, flaky(20, 0.33));
    world.start(CALLERS);
    world.run(seconds(5));
    world.run(seconds(10));
    assert!(world.share(0) < 0.1, "the failing one got {}", world.share(0));
}

/// Behaviour 43.
#[test]
fn a_slow_endpoint_gets_at_most_a_tenth() {
    let mut world = World::of(2);
    world.behave(0, healthy(1));
    world.behave(1, healthy(100));
    world.start(CALLERS);
    world.run(seconds(2));
    assert!(world.share(1) <= 0.1, "the slow one got {}", world.share(1));
}

#[test]
fn a_slow_endpoint_gets_at_most_a_tenth_of_few_calls() {
    let mut world = World::of(2);
    world.behave(0, healthy(1));
    world.behave(1, healthy(100));
    // Five calls in a second.
    for _ in 0..300 {
        world.start(1);
        world.run(milliseconds(1));
    }
    let mut slow = 0_u32;
    for _ in 0..500 {
        let picked = world.pick();
        let is_slow = *picked.address() == address(1);
        slow += u32::from(is_slow);
        world.clock.advance(milliseconds(if is_slow { 100 } else { 1 }));
        picked.settle(&Verdict::SUCCESS, world.now());
        world.clock.advance(milliseconds(200));
    }
    assert!(slow <= 50, "the slow one got {slow} of 500");
}

#[test]
fn equals_get_the_same() {
    let mut world = World::of(4);
    world.start(CALLERS);
    world.run(seconds(10));
    for number in 0..4 {
        assert!((0.2..=0.3).contains(&world.share(number)), "{}", world.share(number));
    }
}

#[test]
fn equals_with_a_long_tail_get_the_same_of_few_calls() {
    let mut world = World::of(3);
    for number in 0..3 {
        let random = Random::seeded(u64::from(number));
        // Between them and their 99th percentile lies a factor of five.
        let tail = move |_| {
            let latency = if random.chance(0.005) { 100 } else { 20 };
            (milliseconds(latency), Some(Verdict::SUCCESS))
        };
        world.behave(number, tail);
    }
    world.start(2);
    for _ in 0..6 {
        world.run(seconds(10));
        for number in 0..3 {
            let share = world.share(number) * 3.0;
            assert!((0.8..=1.2).contains(&share), "{number} got {share} of its part");
        }
    }
}

#[test]
fn one_failure_among_thousands_of_successes_does_not_starve_an_endpoint() {
    for latency in [1, 20] {
        let mut world = World::of(4);
        for number in 0..4 {
            world.behave(number, healthy(latency));
        }
        world.start(CALLERS);
        world.run(seconds(5));
        let mut failed = false;
        world.behave(0, move |_| {
            let verdict = if failed { Verdict::SUCCESS } else { OUTAGE };
            failed = true;
            (milliseconds(latency), Some(verdict))
        });
        world.run(seconds(1));
        assert!(world.share(0) >= 0.2, "at {latency} ms it got {}", world.share(0));
    }
}

#[test]
fn calls_that_are_given_up_show_that_an_endpoint_does_not_answer() {
    let mut world = World::of(4);
    world.behave(0, |_| (milliseconds(500), None));
    world.start(CALLERS);
    world.run(seconds(2));
    world.run(seconds(10));
    assert!(world.share(0) < 0.05, "the silent one got {}", world.share(0));
}

#[test]
fn a_call_that_is_given_up_would_have_taken_longer() {
    let world = World::of(2);
    for _ in 0..6 {
        let (dropped, ignored) = (world.pick_certain(0), world.pick_certain(1));
        world.clock.advance(milliseconds(300));
        drop(dropped);
        ignored.settle(&Verdict::IGNORE, world.now());
    }
    for endpoint in world.snapshot().endpoints {
        assert!((299.0..=301.0).contains(&endpoint.latency_ms), "{}", endpoint.latency_ms);
        assert_eq!((endpoint.inflight, endpoint.state), (0, "healthy"));
    }
}

#[test]
fn the_latency_of_a_stream_is_the_time_until_it_begins() {
    let world = World::of(2);
    for _ in 0..100 {
        let mut stream = world.pick_certain(0);
        world.clock.advance(milliseconds(20));
        stream.answered(world.now());
        world.clock.advance(seconds(60));
        stream.settle(&Verdict::SUCCESS, world.now());
    }
    let latency = world.snapshot().endpoints[0].latency_ms;
    assert!(latency < 31.0, "it is {latency} ms");
}

#[test]
fn a_new_endpoint_starts_slowly_at_the_pace_of_its_peers() {
    let mut world = World::of(3);
    world.start(CALLERS);
    world.run(seconds(20));
    world.behave(3, healthy(20));
    world.update((0..4).map(address));
    let seed = world.snapshot().endpoints[3].latency_ms;
    assert!((19.0..=31.0).contains(&seed), "it starts at {seed} ms");

    world.run(seconds(1));
    let at_first = world.share(3);
    world.run(seconds(10));
    world.run(seconds(1));
    let in_the_end = world.share(3);
    assert!(0.0 < at_first && at_first < 0.12, "at first it got {at_first}");
    assert!((0.2..=0.3).contains(&in_the_end), "in the end it got {in_the_end}");
}

#[test]
fn an_endpoint_that_was_slow_once_is_tried_again_until_it_heals() {
    let mut world = World::of(4);
    let pause = world.now() + seconds(1);
    world.behave(0, move |now| {
        (milliseconds(if now < pause { 3000 } else { 20 }), Some(Verdict::SUCCESS))
    });
    world.start(CALLERS);
    world.run(seconds(10));
    world.run(seconds(2));
    assert!(world.share(0) > 0.0, "it is never tried");
    world.run(seconds(60));
    world.run(seconds(10));
    assert!(world.share(0) > 0.15, "it got {}", world.share(0));
}

/// Behaviour 44.
#[test]
fn when_all_endpoints_fail_the_traffic_is_spread_and_order_returns() {
    let mut world = World::of(4);
    for number in 0..4 {
        world.behave(number, always(10, OUTAGE));
    }
    world.start(CALLERS);
    world.run(seconds(1));
    assert!(world.snapshot().panicking);
    world.run(seconds(20));
    assert!(world.snapshot().panicking);
    assert_eq!(world.count("healthy"), 0);
    assert!(world.count("ejected") <= 2);
    for number in 0..4 {
        assert!((0.15..=0.35).contains(&world.share(number)), "{}", world.share(number));
    }

    for number in 0..4 {
        world.behave(number, healthy(20));
    }
    // The longest that any of them is left out.
    world.run(seconds(31));
    assert!(!world.snapshot().panicking);
    assert_eq!(world.count("healthy"), 4);
    world.run(seconds(11));
    world.run(seconds(2));
    for number in 0..4 {
        assert!((0.2..=0.3).contains(&world.share(number)), "{}", world.share(number));
    }
    let panics = |on| {
        world
            .heard
            .count(|event| matches!(event, Event::PanicModeChanged { on: is, .. } if *is == on))
    };
    assert_eq!((panics(true), panics(false)), (1, 1));
}

/// Behaviour 29.
#[test]
fn the_second_attempt_goes_to_the_other_endpoint() {
    let world = World::of(2);
    for _ in 0..200 {
        let mut tried = Tried::new();
        let first = world.balancer.pick(&tried, world.now()).unwrap();
        tried.insert(first.id());
        let second = world.balancer.pick(&tried, world.now()).unwrap();
        assert_ne!(first.id(), second.id());
        tried.insert(second.id());
        drop(world.balancer.pick(&tried, world.now()).expect("better one again than none"));
        first.settle(&Verdict::SUCCESS, world.now());
        second.settle(&Verdict::SUCCESS, world.now());
        world.clock.advance(milliseconds(7));
    }
}

/// Behaviour 29.
#[test]
fn a_call_that_met_the_failing_endpoint_succeeds_at_the_other() {
    let world = World::of(2);
    for _ in 0..1000 {
        let mut tried = Tried::new();
        let mut succeeded = false;
        for _attempt in 0..2 {
            let picked = world.balancer.pick(&tried, world.now()).unwrap();
            tried.insert(picked.id());
            let fails = *picked.address() == address(0);
            world.clock.advance(milliseconds(if fails { 1 } else { 20 }));
            picked.settle(if fails { &OUTAGE } else { &Verdict::SUCCESS }, world.now());
            if !fails {
                succeeded = true;
                break;
            }
        }
        assert!(succeeded);
    }
}

#[test]
fn what_cannot_be_reached_is_the_last_resort() {
    let world = World::of(3);
    world.make_available(0, false);
    world.make_available(1, false);
    for _ in 0..100 {
        assert_eq!(*world.pick().address(), address(2));
        world.clock.advance(milliseconds(5));
    }
    assert!(world.snapshot().panicking, "one of three is healthy");
    world.make_available(2, false);
    assert!(!world.balancer.is_available());
    drop(world.pick());
    world.make_available(1, true);
    assert!(world.balancer.is_available());
    assert_eq!(*world.pick().address(), address(1));
}

#[test]
fn no_endpoint_is_found_only_if_none_is_known() {
    let world = World::new(Settings::default());
    assert!(world.balancer.is_empty());
    assert!(world.balancer.pick(&Tried::new(), world.now()).is_err());
    world.update([address(0)]);
    for _ in 0..100 {
        world.pick().settle(&OUTAGE, world.now());
        world.clock.advance(Duration::from_millis(3));
    }
}
