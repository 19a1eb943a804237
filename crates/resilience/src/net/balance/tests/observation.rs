//! What the balancer tells about itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::super::{Settings, SettingsError};
use super::world::{OUTAGE, World, address, milliseconds};
use crate::net::outlier;
use crate::observe::{
    Counter, CounterSink, Event, Gauge, GaugeSink, Histogram, Label, Listener, Metrics,
};
use crate::outcome::Verdict;

#[derive(Clone, Debug, Default)]
struct Numbers(Arc<Mutex<HashMap<String, f64>>>);

#[derive(Debug)]
struct Number(Numbers, String);

impl Numbers {
    fn get(&self, name: &str) -> f64 {
        self.0.lock().unwrap().get(name).copied().unwrap_or_default()
    }

    fn sink(&self, name: &str, labels: &[Label]) -> Arc<Number> {
        let labels: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        Arc::new(Number(self.clone(), format!("{name}{{{}}}", labels.join(","))))
    }
}

impl Metrics for Numbers {
    fn counter(&self, name: &'static str, labels: &[Label]) -> Counter {
        Counter::new(self.sink(name, labels))
    }

    fn gauge(&self, name: &'static str, labels: &[Label]) -> Gauge {
        Gauge::new(self.sink(name, labels))
    }

    fn histogram(&self, _: &'static str, _: &[Label]) -> Histogram {
        Histogram::default()
    }
}

impl CounterSink for Number {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn add(&self, by: u64) {
        *self.0.0.lock().unwrap().entry(self.1.clone()).or_default() += by as f64;
    }
}

impl GaugeSink for Number {
    fn set(&self, value: f64) {
        self.0.0.lock().unwrap().insert(self.1.clone(), value);
    }
}

#[expect(clippy::float_cmp, reason = "whole numbers")]
#[test]
fn ejections_panics_and_states_are_counted_without_addresses() {
    let numbers = Numbers::default();
    let metrics = numbers.clone();
    let world = World::observed(Settings::default(), |environment| {
        environment.metrics = Arc::new(metrics);
    });
    world.update((0..3).map(address));
    assert_eq!(numbers.get("resilience_endpoints{target=inventory,state=healthy}"), 3.0);
    for number in [0, 1] {
        for _ in 0..5 {
            world.call(number, &OUTAGE);
        }
    }
    drop(world.pick());
    let ejections = "resilience_ejections_total{target=inventory,cause=consecutive}";
    assert_eq!(numbers.get(ejections), 1.0);
    assert_eq!(numbers.get("resilience_panic_mode_total{target=inventory}"), 1.0);
    assert_eq!(numbers.get("resilience_endpoints{target=inventory,state=healthy}"), 1.0);
    assert_eq!(numbers.get("resilience_endpoints{target=inventory,state=ejected}"), 1.0);
    assert_eq!(numbers.get("resilience_endpoints{target=inventory,state=suspect}"), 1.0);
    let names = numbers.0.lock().unwrap();
    assert!(names.keys().all(|name| !name.contains("10.0.0")));
}

#[test]
fn an_event_names_the_endpoint_and_how_long_it_is_left_out() {
    let world = World::of(2);
    for _ in 0..5 {
        world.call(1, &OUTAGE);
    }
    let wait = world.snapshot().endpoints[1].wait_ms.unwrap();
    let told = |event: &Event| match event {
        Event::EndpointEjected { target, endpoint, cause, duration } => {
            &**target == "inventory"
                && **endpoint == *address(1).socket.to_string()
                && *cause == "consecutive"
                && duration.as_millis() == u128::from(wait)
        }
        _ => false,
    };
    assert_eq!(world.heard.count(told), 1);
}

/// Picks and settles within every event, as a listener may.
#[derive(Debug, Default)]
struct Meddler(Mutex<Option<std::sync::Weak<World>>>);

impl Listener for Meddler {
    fn on_event(&self, _: &Event) {
        let world = self.0.lock().unwrap().as_ref().and_then(std::sync::Weak::upgrade);
        if let Some(world) = world {
            world.pick().settle(&Verdict::SUCCESS, world.now());
            drop(world.snapshot());
        }
    }
}

#[test]
fn a_listener_that_comes_back_does_not_lock_the_balancer() {
    let meddler = Arc::new(Meddler::default());
    let listener = Arc::clone(&meddler);
    let world = Arc::new(World::observed(Settings::default(), |environment| {
        environment.listener = listener;
    }));
    *meddler.0.lock().unwrap() = Some(Arc::downgrade(&world));
    world.update((0..3).map(address));
    for _ in 0..1000 {
        world.pick().settle(&OUTAGE, world.now());
        world.clock.advance(milliseconds(20));
    }
    world.update([address(0)]);
    assert!(world.snapshot().panicking);
}

#[test]
fn a_snapshot_is_json() {
    let world = World::of(1);
    let json = serde_json::to_value(world.snapshot()).unwrap();
    assert_eq!(json["target"], "inventory");
    assert_eq!(json["endpoints"][0]["address"], "10.0.0.0:50051");
    assert_eq!(json["endpoints"][0]["state"], "healthy");
    assert_eq!(json["endpoints"][0]["inflight"], 0);
}

#[test]
fn settings_out_of_range_are_refused() {
    assert_eq!(Settings::default().check(), Ok(()));
    let outlier = |change: fn(&mut outlier::Settings)| {
        let mut settings = Settings::default();
        change(&mut settings.outlier);
        settings.check().map_err(|SettingsError { setting, .. }| setting)
    };
    assert_eq!(outlier(|settings| settings.max_ejected = 1.1), Err("max_ejected"));
    assert_eq!(outlier(|settings| settings.panic_below = f64::NAN), Err("panic_below"));
    assert_eq!(outlier(|settings| settings.failure_rate = Some(0.0)), Err("failure_rate"));
    assert_eq!(outlier(|settings| settings.cap = milliseconds(1)), Err("base"));
    assert_eq!(outlier(|settings| settings.window = milliseconds(0)), Err("window"));
    let none = Settings { subset: 0, ..Settings::default() };
    assert_eq!(none.check().unwrap_err().to_string(), "subset is not at least 1");
}
