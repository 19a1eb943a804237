//! The preference for the own zone.

use std::time::Duration;

use super::super::{Settings, Tried};
use super::world::{OUTAGE, World, address};
use crate::net::Address;
use crate::outcome::Verdict;

fn in_zone(number: u8, zone: &str) -> Address {
    Address { zone: Some(zone.into()), ..address(number) }
}

/// Endpoints 0 to 3 are here, 10 to 13 are there.
fn world() -> World {
    let world = World::new(Settings { zone: Some("here".into()), ..Settings::default() });
    let here = (0..4).map(|number| in_zone(number, "here"));
    let there = (10..14).map(|number| in_zone(number, "there"));
    world.update(there.chain(here));
    world
}

fn local_of_1000(world: &World) -> usize {
    (0..1000)
        .filter(|_| {
            // All of them before one that is left out may prove itself.
            world.clock.advance(Duration::from_micros(100));
            let picked = world.balancer.pick(&Tried::new(), world.now()).unwrap();
            let local = picked.address().zone.as_deref() == Some("here");
            picked.settle(&Verdict::SUCCESS, world.now());
            local
        })
        .count()
}

/// Leaves so many endpoints here out.
fn eject_here(world: &World, count: u8) {
    for number in 0..count {
        for _ in 0..5 {
            world.call(number, &OUTAGE);
        }
    }
}

#[test]
fn calls_stay_in_the_own_zone_while_it_is_well() {
    assert_eq!(local_of_1000(&world()), 1000);
}

#[test]
fn calls_spill_over_as_the_own_zone_fails() {
    let world = world();
    eject_here(&world, 2);
    // Two of four, which may carry 1.4 times their part.
    let local = local_of_1000(&world);
    assert!((640..=760).contains(&local), "{local} of 1000 stayed");
}

#[test]
fn a_zone_with_one_healthy_endpoint_gets_the_part_of_one() {
    let world = world();
    eject_here(&world, 3);
    // One of five.
    let local = local_of_1000(&world);
    assert!((150..=260).contains(&local), "{local} of 1000 stayed");
}

#[test]
fn a_second_attempt_leaves_a_zone_that_has_nobody_else() {
    let world =
        World::new(Settings { zone: Some("here".into()), zone_minimum: 1, ..Settings::default() });
    world.update([in_zone(0, "here"), in_zone(10, "there")]);
    let mut tried = Tried::new();
    let first = world.balancer.pick(&tried, world.now()).unwrap();
    assert_eq!(*first.address(), in_zone(0, "here"));
    tried.insert(first.id());
    let second = world.balancer.pick(&tried, world.now()).unwrap();
    assert_eq!(*second.address(), in_zone(10, "there"));
}
