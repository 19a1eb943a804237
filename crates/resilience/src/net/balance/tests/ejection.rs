//! Who is left out, and how they come back.

use std::sync::Arc;

use super::super::Settings;
use super::super::ledger::Charge;
use super::world::{OUTAGE, World, address, flaky, healthy, milliseconds, seconds};
use crate::net::outlier::{self, Cause};
use crate::observe::Event;
use crate::outcome::{Health, Pushback, RetrySafety, Verdict};

const REFUSAL: Verdict = Verdict::new(Health::Degraded, RetrySafety::Never);

fn fail(world: &World, number: u8, times: u32) {
    for _ in 0..times {
        world.call(number, &OUTAGE);
    }
}

/// Moves the time to when the endpoint may prove itself.
fn wait_for(world: &World, number: usize) {
    let wait = world.snapshot().endpoints[number].wait_ms.unwrap();
    world.clock.advance(milliseconds(wait + 1));
}

#[test]
fn five_failures_in_a_row_are_too_many_also_of_two_endpoints() {
    let world = World::of(2);
    fail(&world, 0, 4);
    world.call(0, &Verdict::SUCCESS);
    fail(&world, 0, 4);
    assert_eq!(world.state(0), "healthy");
    fail(&world, 0, 1);
    assert_eq!(world.state(0), "ejected");
    for _ in 0..100 {
        assert_eq!(*world.pick().address(), address(1));
    }
}

#[test]
fn half_of_the_calls_is_too_large_a_share_and_refusals_count() {
    let settings = Settings::default();
    let world = World::with(3, settings);
    for _ in 0..10 {
        world.call(0, &Verdict::SUCCESS);
    }
    for _ in 0..9 {
        world.call(0, &REFUSAL);
    }
    assert_eq!(world.state(0), "healthy", "refusals are not failures in a row");
    world.call(0, &REFUSAL);
    assert_eq!(world.state(0), "ejected");
}

#[test]
fn the_last_endpoint_is_never_left_out() {
    let world = World::of(2);
    fail(&world, 0, 5);
    fail(&world, 1, 5);
    assert_eq!((world.state(0), world.state(1)), ("ejected", "suspect"));
    drop(world.pick());
    assert!(world.snapshot().panicking);

    let single = World::of(1);
    fail(&single, 0, 50);
    assert_eq!(single.state(0), "suspect");
    assert_eq!(*single.pick().address(), address(0));
}

#[test]
fn one_probe_at_a_time_brings_an_endpoint_back() {
    let world = World::of(2);
    fail(&world, 0, 5);
    wait_for(&world, 0);
    let probe = world.pick();
    assert!(probe.is_probe());
    assert_eq!(*probe.address(), address(0));
    for _ in 0..100 {
        world.clock.advance(milliseconds(50));
        let other = world.pick();
        assert!(!other.is_probe());
        assert_eq!(*other.address(), address(1));
    }
    probe.settle(&Verdict::SUCCESS, world.now());
    assert_eq!(world.state(0), "healthy");
    assert_eq!(world.heard.count(|event| matches!(event, Event::EndpointReturned { .. })), 1);
}

#[test]
fn each_endpoint_that_was_left_out_has_a_probe_of_its_own() {
    let world = World::of(4);
    fail(&world, 0, 5);
    fail(&world, 1, 5);
    world.clock.advance(seconds(1));
    let first = world.pick();
    world.clock.advance(milliseconds(100));
    let second = world.pick();
    assert!(first.is_probe() && second.is_probe());
    assert_ne!(first.id(), second.id());
    world.clock.advance(milliseconds(100));
    assert!(!world.pick().is_probe());
}

#[test]
fn an_endpoint_that_returns_is_forgiven_its_failures() {
    let world = World::of(2);
    fail(&world, 0, 5);
    assert!(world.snapshot().endpoints[0].failure_share > 0.3);
    wait_for(&world, 0);
    world.pick().settle(&Verdict::SUCCESS, world.now());
    assert_eq!(world.state(0), "healthy");
    assert!(world.snapshot().endpoints[0].failure_share.abs() < f32::EPSILON);
}

#[test]
fn of_two_changes_at_once_the_second_comes_to_nothing() {
    let world = World::of(3);
    let book = &world.balancer.book;
    let member = Arc::clone(&world.balancer.members.load().all[0]);
    let charge = Charge { generation: 0, cause: Cause::FailureRate, asked: seconds(0) };
    book.trip(&member.vitals, charge, world.now());
    book.trip(&member.vitals, charge, world.now());
    assert_eq!(member.vitals.standing().trips(), 1);
    book.restore(&member.vitals, 0, world.now());
    assert_eq!(world.state(0), "ejected");
    book.restore(&member.vitals, 1, world.now());
    book.restore(&member.vitals, 1, world.now());
    assert_eq!(world.state(0), "healthy");
    assert_eq!(world.heard.count(|event| matches!(event, Event::EndpointEjected { .. })), 1);
    assert_eq!(world.heard.count(|event| matches!(event, Event::EndpointReturned { .. })), 1);
}

#[test]
fn a_probe_that_fails_or_is_refused_makes_the_wait_longer() {
    let world = World::of(2);
    fail(&world, 0, 5);
    let mut waits = Vec::new();
    for verdict in [OUTAGE, REFUSAL, OUTAGE, REFUSAL] {
        wait_for(&world, 0);
        let probe = world.pick();
        assert!(probe.is_probe());
        probe.settle(&verdict, world.now());
        assert_eq!(world.state(0), "ejected");
        waits.push(world.snapshot().endpoints[0].wait_ms.unwrap());
    }
    for (wait, whole) in waits.iter().zip([2000, 4000, 8000, 16_000]) {
        assert!((whole / 2 - 1..=whole).contains(wait), "{wait} of {whole}");
    }
}

#[test]
fn a_probe_that_is_given_up_says_nothing_and_makes_room_for_another() {
    let world = World::of(2);
    fail(&world, 0, 5);
    wait_for(&world, 0);
    drop(world.pick());
    assert_eq!(world.state(0), "ejected");
    world.clock.advance(milliseconds(100));
    let probe = world.pick();
    assert!(probe.is_probe());
    probe.settle(&Verdict::IGNORE, world.now());
    world.clock.advance(milliseconds(100));
    assert!(world.pick().is_probe());
}

#[test]
fn a_probe_that_never_ends_cannot_wedge_the_endpoint() {
    let world = World::of(2);
    fail(&world, 0, 5);
    wait_for(&world, 0);
    let lost = world.pick();
    assert!(lost.is_probe());
    world.clock.advance(seconds(10));
    drop(world.pick());
    assert_eq!(world.state(0), "ejected");
    let wait = world.snapshot().endpoints[0].wait_ms.unwrap();
    assert!((999..=2000).contains(&wait), "it waits {wait} ms");

    wait_for(&world, 0);
    let probe = world.pick();
    assert!(probe.is_probe());
    lost.settle(&Verdict::SUCCESS, world.now());
    assert_eq!(world.state(0), "ejected", "an old answer proves nothing");
    probe.settle(&Verdict::SUCCESS, world.now());
    assert_eq!(world.state(0), "healthy");
}

#[test]
fn answers_from_before_an_ejection_change_nothing_after_it() {
    let world = World::of(2);
    let (good, bad) = (world.pick_certain(0), world.pick_certain(0));
    fail(&world, 0, 5);
    wait_for(&world, 0);
    let before = world.snapshot().endpoints[0].clone();
    good.settle(&Verdict::SUCCESS, world.now());
    bad.settle(&OUTAGE, world.now());
    let after = world.snapshot().endpoints[0].clone();
    assert_eq!((after.state, after.wait_ms), (before.state, before.wait_ms));
    assert_eq!(world.heard.count(|event| matches!(event, Event::EndpointEjected { .. })), 1);
}

#[test]
fn a_second_attempt_is_never_a_probe() {
    let world = World::of(3);
    fail(&world, 0, 5);
    wait_for(&world, 0);
    let first = world.pick_certain(1);
    let mut tried = super::super::Tried::new();
    tried.insert(first.id());
    world.clock.advance(milliseconds(100));
    let second = world.balancer.pick(&tried, world.now()).unwrap();
    assert_eq!(*second.address(), address(2));
}

#[test]
fn a_peer_that_asks_to_be_left_alone_is() {
    let world = World::of(2);
    fail(&world, 0, 4);
    let asks = OUTAGE.with_pushback(Some(Pushback::After(seconds(7))));
    world.call(0, &asks);
    assert_eq!(world.snapshot().endpoints[0].wait_ms, Some(7000));
}

#[test]
fn an_endpoint_that_returns_starts_slowly() {
    let mut world = World::of(4);
    world.start(64);
    world.run(seconds(5));
    world.behave(0, super::world::always(20, OUTAGE));
    world.run(seconds(1));
    world.behave(0, healthy(20));
    world.run(seconds(2));
    assert_eq!(world.state(0), "healthy");
    world.run(seconds(1));
    let at_first = world.share(0);
    world.run(seconds(12));
    world.run(seconds(3));
    let in_the_end = world.share(0);
    assert!(at_first < 0.15, "at first it got {at_first}");
    assert!(in_the_end > 0.2, "in the end it got {in_the_end}");
}

#[test]
fn an_outlier_among_its_peers_is_left_out_for_at_least_thirty_seconds() {
    let outlier = outlier::Settings {
        consecutive_failures: None,
        failure_rate: None,
        ..outlier::Settings::default()
    };
    let mut world = World::with(6, Settings { outlier, ..Settings::default() });
    world.behave(0, flaky(20, 0.1));
    world.start(64);
    world.run(seconds(11));
    assert_eq!(world.state(0), "ejected");
    let by_peers = |event: &Event| {
        matches!(event, Event::EndpointEjected { cause: "success_rate", duration, .. }
            if *duration >= seconds(30))
    };
    assert_eq!(world.heard.count(by_peers), 1);
    assert_eq!(world.count("healthy"), 5);
    world.behave(0, healthy(20));
    world.run(seconds(20));
    assert_eq!(world.state(0), "ejected");
    world.run(seconds(20));
    assert_eq!(world.state(0), "healthy");
}

#[test]
fn endpoints_that_were_well_for_a_sweep_are_forgiven_one_time() {
    let world = World::of(2);
    for _ in 0..3 {
        fail(&world, 0, 5);
        wait_for(&world, 0);
        world.pick().settle(&Verdict::SUCCESS, world.now());
        assert_eq!(world.state(0), "healthy");
    }
    let trips = || world.balancer.members.load().all[0].vitals.standing().trips();
    assert_eq!(trips(), 3);
    world.clock.advance(seconds(10));
    drop(world.pick());
    assert_eq!(trips(), 2);
    world.clock.advance(seconds(9));
    drop(world.pick());
    assert_eq!(trips(), 2, "the next one is not due");
    // Nobody calls for a while, but time goes on.
    world.clock.advance(seconds(30));
    drop(world.pick());
    assert_eq!(trips(), 0);
}

#[test]
fn never_more_than_half_are_left_out_however_many_fail() {
    let mut world = World::of(6);
    for number in 0..5 {
        world.behave(number, super::world::always(1, OUTAGE));
    }
    world.start(64);
    for _ in 0..40 {
        world.run(milliseconds(300));
        assert!(world.count("ejected") <= 3);
    }
    assert!(world.snapshot().panicking, "one of six is healthy");
}
