//! What it tells and counts.

use std::sync::OnceLock;

use super::*;

/// Calls the breaker that it hears from.
#[derive(Debug, Default)]
struct Meddler {
    breaker: OnceLock<Breaker>,
    seen: Mutex<Vec<State>>,
}

impl Listener for Meddler {
    fn on_event(&self, event: &Event) {
        let breaker = self.breaker.get().unwrap();
        let now = breaker.now();
        self.seen.lock().unwrap().push(breaker.state(now));
        drop(breaker.try_acquire(now));
        breaker.reconfigure(Settings::default()).unwrap();
        assert_eq!(breaker.snapshot(now).name, "inventory");
        if matches!(event, Event::BreakerChanged { to: State::Open, .. }) {
            breaker.set_mode(Mode::Disabled, now);
        }
    }
}

/// Behaviour 17.
#[test]
fn a_listener_may_call_the_breaker() {
    let meddler = Arc::new(Meddler::default());
    let environment = Environment {
        clock: Arc::new(Manual::new()),
        listener: Arc::clone(&meddler) as _,
        ..Environment::default()
    };
    let breaker = Breaker::new("inventory", Settings::default(), environment).unwrap();
    meddler.breaker.set(breaker.clone()).unwrap();
    for _ in 0..5 {
        breaker.try_acquire(Time::ZERO).unwrap().record(&UNAVAILABLE, Time::ZERO);
    }
    assert_eq!(breaker.mode(), Mode::Disabled);
    // It is told after the change is done: open, disabled, and closed for that.
    let seen = meddler.seen.lock().unwrap();
    assert_eq!(*seen, [State::Open, State::Closed, State::Closed]);
}

#[test]
fn transitions_states_and_rejections_are_counted() {
    let rig = Rig::opened(Settings::default());
    let transitions = |from, to, reason| {
        let labels = [("breaker", "inventory"), ("from", from), ("to", to), ("reason", reason)];
        rig.counted.counter("resilience_breaker_transitions_total", &labels)
    };
    let state = || rig.counted.gauge("resilience_breaker_state", &[("breaker", "inventory")]);
    assert_eq!(state(), Some(2.0));
    assert!(rig.is_rejected());
    rig.wait();
    let rejections = [("target", "inventory"), ("stage", "breaker")];
    assert_eq!(rig.counted.counter("resilience_rejections_total", &rejections), 2);
    drop(rig.acquire());
    assert_eq!(state(), Some(1.0));
    rig.call(UNAVAILABLE);
    rig.wait();
    rig.calls(3, Verdict::SUCCESS);
    assert_eq!(state(), Some(0.0));

    assert_eq!(transitions("closed", "open", "consecutive"), 1);
    assert_eq!(transitions("open", "half_open", "wait_over"), 2);
    assert_eq!(transitions("half_open", "open", "probe_failed"), 1);
    assert_eq!(transitions("half_open", "closed", "recovered"), 1);
    assert_eq!(rig.counted.counter("resilience_breaker_transitions_total", &[]), 5);
    assert_eq!(rig.changes().len(), 5);
}

#[test]
fn an_event_says_how_long_it_stays_open() {
    let rig = Rig::opened(Settings::default());
    let retry_after = rig.breaker.try_acquire(rig.now()).unwrap_err().retry_after;
    let opened = Event::BreakerChanged {
        breaker: "inventory".into(),
        from: State::Closed,
        to: State::Open,
        reason: Reason::Consecutive,
        wait: Some(retry_after),
    };
    assert_eq!(*rig.heard.0.lock().unwrap(), [opened]);
}

#[test]
fn a_snapshot_is_for_people() {
    let rig = Rig::new(Settings { open_base: 30 * SECOND, ..Settings::default() });
    let early = rig.acquire();
    rig.calls(15, Verdict::SUCCESS);
    rig.calls(4, UNAVAILABLE);
    let closed = serde_json::to_value(rig.breaker.snapshot(rig.now())).unwrap();
    assert_eq!(closed["state"], "closed");
    assert_eq!(closed["window"], serde_json::json!({ "calls": 19, "failures": 4, "slow": 0 }));
    assert_eq!(closed["consecutive_failures"], 4);

    rig.call(UNAVAILABLE);
    early.record(&Verdict::SUCCESS, rig.now());
    let mut open = serde_json::to_value(rig.breaker.snapshot(rig.now())).unwrap();
    let wait = open["retry_after_ms"].take().as_u64().unwrap();
    assert!((15_000..=30_000).contains(&wait), "{wait}");
    assert_eq!(
        open,
        serde_json::json!({
            "name": "inventory",
            "state": "open",
            "mode": "normal",
            "generation": 1,
            "window": { "calls": 0, "failures": 0, "slow": 0 },
            "failure_rate": 0.0,
            "slow_rate": 0.0,
            "consecutive_failures": 0,
            "retry_after_ms": null,
            "admitted_share": null,
            "trips_in_a_row": 1,
            "stale_outcomes": 1,
        })
    );
}

#[test]
fn a_rejection_says_why() {
    let rig = Rig::opened(Settings::default());
    let rejected = rig.breaker.try_acquire(rig.now()).unwrap_err();
    assert_eq!(rejected.to_string(), "the circuit breaker is open");
    rig.wait();
    rig.calls(3, Verdict::SUCCESS);
    let rejected = std::iter::repeat_with(|| rig.breaker.try_acquire(rig.now()).map(drop))
        .find_map(Result::err)
        .unwrap();
    let recovers = "the circuit breaker has just closed and admits only some calls yet";
    assert_eq!(rejected.to_string(), recovers);
}
