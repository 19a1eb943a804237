//! What keeps a limit from being led astray, window by window.

use super::*;
use crate::core::limit::controller::Controller;

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: u64) -> Time {
    Time::ZERO + SECOND * u32::try_from(seconds).unwrap()
}

fn controller() -> Controller {
    Controller::new(Settings::default(), Time::ZERO)
}

/// One in which the whole limit was in use.
fn full(limit: usize, latency: Duration) -> Window {
    Window { latency: Some(latency), completed: 1000, dropped: 0, peak: limit }
}

/// The plan after ten of them, a second each, and the next second.
fn settled(controller: &mut Controller, random: &Random) -> (Plan, u64) {
    let mut plan = controller.close(&full(20, 50 * MS), at(1), random);
    for second in 2..10 {
        let peak = plan.ceiling;
        plan = controller.close(&full(peak, 50 * MS), at(second), random);
    }
    (plan, 10)
}

#[test]
fn a_window_has_fifty_samples_or_is_thirty_seconds_long() {
    let controller = controller();

    assert!(!controller.is_due(49, at(1)));
    assert!(controller.is_due(50, at(1)));
    assert!(!controller.is_due(49, at(29)));
    assert!(controller.is_due(10, at(30)));
}

#[test]
fn a_window_is_long_enough_to_see_what_the_last_change_did() {
    let ends = |latency| {
        // Too few for room to be made at once.
        let window = Window { completed: 500, ..full(20, latency) };
        let plan = controller().close(&window, at(100), &Random::seeded(1));
        plan.window_ends.since(at(100))
    };

    assert_eq!(ends(5 * MS), SECOND);
    assert_eq!(ends(3 * SECOND), 6 * SECOND);
    assert_eq!(ends(40 * SECOND), 30 * SECOND);
}

#[test]
fn fewer_than_ten_samples_say_nothing() {
    let (mut controller, random) = (controller(), Random::seeded(1));

    for window in 1..20 {
        let few = Window { completed: 9, ..full(20, 50 * MS) };
        assert_eq!(controller.close(&few, at(30 * window), &random).limit, 20);
    }

    assert_eq!(controller.baseline(), None);
}

#[test]
fn one_odd_window_changes_nothing() {
    let (mut controller, random) = (controller(), Random::seeded(1));
    let (before, now) = settled(&mut controller, &random);

    let after = controller.close(&full(before.limit, 500 * MS), at(now), &random);
    assert_eq!(after.limit, before.limit);

    let mut last = after;
    for second in 1..4 {
        last = controller.close(&full(last.limit, 500 * MS), at(now + second), &random);
    }
    assert!(last.limit < before.limit, "{last:?} after {before:?}");
}

#[test]
fn it_stays_between_its_bounds() {
    let (mut controller, random) = (controller(), Random::seeded(1));
    let mut plan = controller.close(&full(20, 50 * MS), at(1), &random);
    for second in 2..200 {
        plan = controller.close(&full(plan.limit, 50 * MS), at(second), &random);
    }
    assert_eq!(plan.limit, 1000);

    for second in 200..600 {
        let stuck = Window { dropped: 1000, completed: 0, latency: None, peak: plan.limit };
        plan = controller.close(&stuck, at(second), &random);
    }
    assert_eq!(plan.limit, 4);
}

#[test]
fn the_instances_of_a_fleet_do_not_make_room_together() {
    let gaps: Vec<u64> = (0..30).map(gap_between_probes).collect();

    let (least, most) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
    assert!((30..=37).contains(least), "{gaps:?}");
    assert!((53..=62).contains(most), "{gaps:?}");
}

/// Seconds from the first probe to the second.
fn gap_between_probes(seed: u64) -> u64 {
    let (mut controller, random) = (controller(), Random::seeded(seed));
    let mut plan = controller.close(&full(20, 50 * MS), at(1), &random);
    let mut probes = Vec::new();
    for second in 2..200 {
        plan = controller.close(&full(plan.ceiling, 50 * MS), at(second), &random);
        if controller.is_probing() {
            probes.push(second);
        }
    }
    probes[1] - probes[0]
}
