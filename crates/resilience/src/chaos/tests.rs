use serde_json::json;

use super::*;
use crate::core::clock::Manual;
use crate::observe::Listener;

#[derive(Debug, Default)]
struct Heard(Mutex<Vec<Event>>);

impl Listener for Heard {
    fn on_event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

struct World {
    chaos: Chaos,
    clock: Arc<Manual>,
    heard: Arc<Heard>,
    random: Random,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(Manual::new());
        let heard = Arc::new(Heard::default());
        let environment = Environment {
            clock: Arc::clone(&clock) as _,
            listener: Arc::clone(&heard) as _,
            ..Environment::default()
        };
        Self { chaos: Chaos::new(&environment), clock, heard, random: Random::seeded(7) }
    }

    fn with(rules: serde_json::Value) -> Self {
        let world = Self::new();
        world.chaos.set(serde_json::from_value(rules).unwrap()).unwrap();
        world
    }

    fn strike(&self, target: &str, method: &str) -> Option<Fault> {
        self.chaos.strike(target, method, &self.random)
    }
}

fn refusal(rules: serde_json::Value) -> String {
    match serde_json::from_value::<Vec<Rule>>(rules) {
        Ok(rules) => World::new().chaos.set(rules).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn nothing_happens_until_rules_are_set() {
    let world = World::new();
    assert_eq!(world.strike("payment", "/p.P/Pay"), None);
    assert!(world.chaos.standing().is_empty());
}

#[test]
fn every_fault_can_be_written_as_json() {
    for (written, expected) in [
        (json!({"latency_ms": 200}), Fault::Latency(Duration::from_millis(200))),
        (json!({"error": "UNAVAILABLE"}), Fault::Error(Code::Unavailable)),
        (json!({"error": "UNAUTHENTICATED"}), Fault::Error(Code::Unauthenticated)),
        (json!("hang"), Fault::Hang),
        (json!("reset"), Fault::Reset),
        (json!("drop_response"), Fault::DropResponse),
    ] {
        let rules = json!([{"target": "payment", "method": "*", "share": 1.0, "fault": written}]);
        let world = World::with(rules.clone());
        assert_eq!(world.strike("payment", "/p.P/Pay"), Some(expected));

        let standing = serde_json::to_value(world.chaos.standing()).unwrap();
        assert_eq!(standing, json!([{"rule": rules[0], "struck": 1, "over": false}]));
    }
}

#[test]
fn a_range_of_latencies_is_drawn_from_all_of_it() {
    let world = World::with(json!([{"fault": {"latency_ms": [100, 300]}}]));
    let millis: Vec<u128> = (0..1000)
        .map(|_| match world.strike("any", "thing") {
            Some(Fault::Latency(latency)) => latency.as_millis(),
            other => panic!("{other:?} is no latency"),
        })
        .collect();
    assert!(millis.iter().all(|ms| (100..300).contains(ms)));
    for low in (100..300).step_by(20) {
        let here = millis.iter().filter(|ms| (low..low + 20).contains(*ms)).count();
        assert!((60..140).contains(&here), "{here} of 1000 at {low} ms");
    }
}

#[test]
fn a_rule_strikes_only_whom_it_names() {
    let world = World::with(json!([
        {"target": "payment", "method": "/p.P/Pay", "fault": "hang"},
        {"target": "inv*", "method": "/i.I/*", "fault": "reset"},
    ]));
    for (target, method, expected) in [
        ("payment", "/p.P/Pay", Some(Fault::Hang)),
        ("payment", "/p.P/PayBack", None),
        ("payments", "/p.P/Pay", None),
        ("inventory", "/i.I/Reserve", Some(Fault::Reset)),
        ("inventory", "/i.Index/Reserve", None),
        ("in", "/i.I/Reserve", None),
    ] {
        assert_eq!(world.strike(target, method), expected, "{target} {method}");
    }
}

#[test]
fn a_share_of_the_attempts_is_struck() {
    let world = World::with(json!([{"share": 0.25, "fault": "hang"}]));
    let struck = (0..10_000).filter(|_| world.strike("a", "b").is_some()).count();
    assert!((2300..2700).contains(&struck), "{struck} of 10000");

    let never = World::with(json!([{"share": 0.0, "fault": "hang"}]));
    assert!((0..1000).all(|_| never.strike("a", "b").is_none()));
}

#[test]
fn the_first_rule_that_strikes_is_the_only_one() {
    let world = World::with(json!([{"fault": "hang", "hits": 2}, {"fault": "reset"}]));
    let struck: Vec<_> = (0..4).filter_map(|_| world.strike("a", "b")).collect();
    assert_eq!(struck, [Fault::Hang, Fault::Hang, Fault::Reset, Fault::Reset]);

    let standing = world.chaos.standing();
    assert_eq!((standing[0].struck, standing[0].over), (2, true));
    assert_eq!((standing[1].struck, standing[1].over), (2, false));
}

#[test]
fn hits_are_not_exceeded_by_threads_that_race_for_the_last() {
    let world = World::with(json!([{"fault": "hang", "hits": 1000}]));
    let struck: usize = std::thread::scope(|scope| {
        let race = || (0..1000).filter(|_| world.strike("a", "b").is_some()).count();
        let racers: Vec<_> = (0..4).map(|_| scope.spawn(race)).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).sum()
    });
    assert_eq!(struck, 1000);
}

#[test]
fn a_rule_ends_with_its_time() {
    let world = World::with(json!([{"fault": "hang", "for_ms": 1000}]));
    world.clock.advance(Duration::from_millis(999));
    assert_eq!(world.strike("a", "b"), Some(Fault::Hang));
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.strike("a", "b"), None);
    assert!(world.chaos.standing()[0].over);
}

#[test]
fn changes_are_told_and_clearing_ends_all() {
    let world = World::with(json!([{"fault": "hang"}, {"fault": "reset"}]));
    world.chaos.clear();
    assert_eq!(world.strike("a", "b"), None);
    let heard = world.heard.0.lock().unwrap().clone();
    assert_eq!(heard, [Event::ChaosChanged { rules: 2 }, Event::ChaosChanged { rules: 0 }]);
}

#[test]
fn a_wrong_rule_says_what_is_wrong_and_changes_nothing() {
    let world = World::with(json!([{"fault": "hang"}]));
    let wrong = vec![Rule::new(Effect::Reset), Rule::new(Effect::Reset).share(f64::NAN)];
    assert_eq!(world.chaos.set(wrong).unwrap_err().index, 1);
    assert_eq!(world.strike("a", "b"), Some(Fault::Hang));

    for (rule, expected) in [
        (json!({"fault": "hang", "share": 1.5}), "rules[0]: share is 1.5, which is not between"),
        (json!({"fault": "hang", "target": ""}), "rules[0]: target is empty"),
        (json!({"fault": "hang", "method": "/a*b"}), "\"*\" may only stand at its end"),
        (json!({"fault": "hang", "hits": 0}), "hits is 0"),
        (json!({"fault": "hang", "for_ms": 0}), "for_ms is 0"),
        (json!({"fault": {"latency_ms": [300, 100]}}), "begins at 300ms and ends at 100ms"),
        (json!({"fault": {"latency_ms": [1, 2, 3]}}), "milliseconds"),
        (json!({"fault": {"latency_ms": "200ms"}}), "whole milliseconds, as 200 or as a range"),
        (json!({"fault": {"error": "OK"}}), "OK is not an error"),
        (json!({"fault": {"error": "UNAVAILABEL"}}), "`RESOURCE_EXHAUSTED`"),
        (json!({"fault": "explode"}), "`drop_response`"),
        (json!({"fault": "hang", "shrae": 1}), "unknown field `shrae`, expected one of `target`"),
        (json!({"target": "payment"}), "missing field `fault`"),
    ] {
        let said = refusal(json!([rule]));
        assert!(said.contains(expected), "{rule}: {said}");
    }
    let many = vec![json!({"fault": "hang"}); MAX_RULES + 1];
    assert!(refusal(json!(many)).contains("there are 101 rules"));
}

#[test]
fn every_code_has_the_name_that_grpc_gives_it() {
    for number in 1..=16 {
        let rule = Rule::new(Effect::Error(Code::from_i32(number)));
        let written = serde_json::to_value(&rule).unwrap();
        let name = written["fault"]["error"].as_str().unwrap();
        let debug = format!("{:?}", Code::from_i32(number)).to_uppercase();
        assert_eq!(name.replace('_', ""), debug);
        assert_eq!(serde_json::from_value::<Rule>(written.clone()).unwrap(), rule);
    }
}
