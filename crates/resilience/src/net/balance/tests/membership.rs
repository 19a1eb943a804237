//! Endpoints that come and go.

use super::super::{Settings, Tried};
use super::world::{OUTAGE, World, address, milliseconds, seconds};
use crate::observe::Event;
use crate::outcome::Verdict;

/// Behaviour 45.
#[test]
fn endpoints_that_stay_keep_what_is_known_of_them() {
    let world = World::of(3);
    for _ in 0..5 {
        world.call(0, &OUTAGE);
    }
    for _ in 0..10 {
        let picked = world.pick_certain(1);
        world.clock.advance(milliseconds(80));
        picked.settle(&Verdict::SUCCESS, world.now());
    }
    let before = world.snapshot().endpoints;
    let id = world.pick_certain(1).id();

    world.update([address(3), address(1), address(0)]);

    let after = world.snapshot().endpoints;
    assert_eq!(after[..2], before[..2]);
    assert_eq!(world.pick_certain(1).id(), id);
    assert_eq!(after[2].address, address(3).socket.to_string());
    let changed = |event: &Event| {
        matches!(event, Event::EndpointsChanged { added: 1, removed: 1, total: 3, .. })
    };
    assert_eq!(world.heard.count(changed), 1);
}

/// Behaviour 45.
#[test]
fn calls_to_an_endpoint_that_went_end_as_they_will() {
    let world = World::of(2);
    let (first, second) = (world.pick_certain(0), world.pick_certain(0));
    world.update([address(1)]);
    for _ in 0..100 {
        assert_eq!(*world.pick().address(), address(1));
    }
    assert_eq!(*first.address(), address(0));
    assert!(super::super::Candidate::is_available(first.endpoint()));
    first.settle(&Verdict::SUCCESS, world.now());
    drop(second);
    assert_eq!(world.snapshot().endpoints.len(), 1);
}

/// Behaviour 45.
#[test]
fn an_update_is_seen_without_a_call() {
    let world = World::of(1);
    world.update((0..3).map(address));
    assert_eq!(world.balancer.len(), 3);
    world.update([]);
    assert!(world.balancer.is_empty());
    assert!(world.balancer.pick(&Tried::new(), world.now()).is_err());
}

#[test]
fn the_same_addresses_again_change_nothing() {
    let world = World::of(3);
    world.update([address(2), address(0), address(1), address(1)]);
    assert_eq!(world.heard.count(|event| matches!(event, Event::EndpointsChanged { .. })), 1);
}

#[test]
fn an_endpoint_that_went_is_not_counted_as_left_out() {
    let world = World::of(4);
    for number in [0, 1] {
        for _ in 0..5 {
            world.call(number, &OUTAGE);
        }
    }
    assert_eq!(world.count("ejected"), 2);
    world.update([address(2), address(3)]);
    for _ in 0..5 {
        world.call(2, &OUTAGE);
    }
    assert_eq!(world.state(2), "ejected", "there is room for one of two");
}

#[test]
fn the_failure_of_an_endpoint_that_went_leaves_nobody_out() {
    let world = World::of(3);
    let calls: Vec<_> = (0..10).map(|_| world.pick_certain(0)).collect();
    world.update([address(1), address(2)]);
    for call in calls {
        call.settle(&OUTAGE, world.now());
    }
    assert_eq!(world.heard.count(|event| matches!(event, Event::EndpointEjected { .. })), 0);
    for _ in 0..5 {
        world.call(1, &OUTAGE);
    }
    assert_eq!(world.state(1), "ejected");
}

#[test]
fn when_the_healthy_ones_go_those_that_are_left_out_are_needed() {
    let world = World::of(4);
    for number in [0, 1] {
        for _ in 0..5 {
            world.call(number, &OUTAGE);
        }
    }
    world.update([address(0), address(1)]);
    assert_eq!((world.count("ejected"), world.count("suspect")), (1, 1));
    world.update([address(0)]);
    assert_eq!(world.count("ejected"), 0);
    assert_eq!(*world.pick().address(), address(0));
}

#[test]
fn an_address_that_comes_back_is_a_new_endpoint() {
    let world = World::of(2);
    let id = world.pick_certain(0).id();
    for _ in 0..5 {
        world.call(0, &OUTAGE);
    }
    world.update([address(1)]);
    world.update([address(0), address(1)]);
    assert_eq!(world.state(0), "healthy");
    assert_ne!(world.pick_certain(0).id(), id);
}

#[test]
fn of_many_addresses_a_client_uses_twenty() {
    let world = World::with(200, Settings { client: 7, ..Settings::default() });
    assert_eq!(world.balancer.len(), 20);
    let before: Vec<_> = world.snapshot().endpoints;
    world.clock.advance(seconds(1));
    world.update((0..201).map(address));
    let after = world.snapshot().endpoints;
    let same =
        after.iter().filter(|new| before.iter().any(|old| old.address == new.address)).count();
    assert!(same >= 19);
}
