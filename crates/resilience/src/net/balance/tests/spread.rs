//! How evenly few calls are spread over equals: most fleets are small, and idle at night.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::world::{World, address, milliseconds, seconds};
use crate::core::random::Random;
use crate::outcome::Verdict;

/// What is taken to be even, as a part of the mean.
const EVEN: RangeInclusive<f64> = 0.8..=1.2;

/// Calls one after the other, with pauses that are 30 ms on average, for so long; how many
/// each of three endpoints got. An answer of the endpoint takes what `latency` says.
fn few_calls(
    world: &World,
    duration: Duration,
    random: &Random,
    mut latency: impl FnMut(usize) -> Duration,
) -> [u32; 3] {
    let mut counts = [0; 3];
    let end = world.now() + duration;
    while world.now() < end {
        let picked = world.pick();
        let number = (0..3).position(|number: u8| *picked.address() == address(number)).unwrap();
        counts[number] += 1;
        world.clock.advance(latency(number));
        picked.settle(&Verdict::SUCCESS, world.now());
        world.clock.advance(milliseconds(random.next_u64() % 60));
    }
    counts
}

fn assert_even(counts: [u32; 3], when: &str) {
    let mean = f64::from(counts.iter().sum::<u32>()) / 3.0;
    for count in counts {
        assert!(EVEN.contains(&(f64::from(count) / mean)), "{counts:?} {when}");
    }
}

#[test]
fn calls_one_by_one_are_spread_evenly_over_equals_with_a_long_tail() {
    let (world, random) = (World::of(3), Random::seeded(1));
    for window in 0..50 {
        // Between them and their 99th percentile lies a factor of twenty.
        let tail = |_| milliseconds(if random.chance(0.01) { 200 } else { 10 });
        let counts = few_calls(&world, seconds(5), &random, tail);
        assert_even(counts, &format!("in window {window}"));
    }
}

#[test]
fn calls_one_by_one_are_spread_evenly_over_equals_with_quick_and_slow_methods() {
    let (world, random) = (World::of(3), Random::seeded(2));
    for window in 0..50 {
        let method = |_| {
            let quick = random.chance(0.5);
            Duration::from_micros(if quick { 700 } else { 5_000 + random.next_u64() % 20_000 })
        };
        let counts = few_calls(&world, seconds(5), &random, method);
        assert_even(counts, &format!("in window {window}"));
    }
}

#[test]
fn new_endpoints_whose_first_answer_is_slow_get_the_same_after_five_seconds() {
    for seed in 0..20 {
        let (world, random) = (World::of(1), Random::seeded(seed));
        few_calls(&world, seconds(30), &random, |_| milliseconds(20));
        world.update((0..3).map(address));
        let mut is_cold = [false, true, true];
        let mut cold = |number: usize| {
            milliseconds(if std::mem::take(&mut is_cold[number]) { 1000 } else { 20 })
        };
        few_calls(&world, seconds(5), &random, &mut cold);
        let counts = few_calls(&world, seconds(5), &random, &mut cold);
        assert_even(counts, &format!("with the seed {seed}"));
    }
}
