//! What the balancer tells about itself.

use std::sync::{Arc, Mutex};

use super::super::{Settings, SettingsError};
use super::world::{OUTAGE, World, address, milliseconds};
use crate::net::outlier;
use crate::observe::{Event, Listener, Recorder};
use crate::outcome::Verdict;

#[test]
fn ejections_panics_and_states_are_counted_without_addresses() {
    let recorder = Recorder::default();
    let metrics = recorder.clone();
    let world = World::observed(Settings::default(), |environment| {
        environment.metrics = Arc::new(metrics);
    });
    world.update((0..3).map(address));
    let endpoints = |state| {
        let labels = [("target", "inventory"), ("state", state)];
        recorder.gauge("resilience_endpoints", &labels)
    };
    assert_eq!(endpoints("healthy"), Some(3.0));
    for number in [0, 1] {
        for _ in 0..5 {
            world.call(number, &OUTAGE);
        }
    }
    drop(world.pick());
    let consecutive = [("target", "inventory"), ("cause", "consecutive")];
    assert_eq!(recorder.counter("resilience_ejections_total", &consecutive), 1);
    assert_eq!(recorder.counter("resilience_panic_mode_total", &[("target", "inventory")]), 1);
    assert_eq!(["healthy", "ejected", "suspect"].map(endpoints), [Some(1.0); 3]);
    assert!(!recorder.snapshot().to_string().contains("10.0.0"));
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
