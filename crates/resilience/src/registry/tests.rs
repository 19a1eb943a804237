use super::*;
use crate::core::breaker;
use crate::exec::Executor;

struct Thing(&'static str);

impl Inspect for Thing {
    fn snapshot(&self, _: Time) -> Value {
        json!(self.0)
    }
}

pub(super) fn registry() -> Registry {
    Registry::new(Environment::default())
}

pub(super) fn breaker(name: &str) -> Breaker {
    Breaker::new(name, breaker::Settings::default(), Environment::default()).unwrap()
}

#[test]
fn things_are_seen_by_sort_and_name_for_as_long_as_they_live() {
    let registry = registry();
    let (first, second) = (Arc::new(Thing("one")), Arc::new(Thing("two")));
    registry.watch("clients", "payment", &first);
    registry.watch("clients", "inventory", &second);
    let kept = registry.keep("limiters", "inbound", Thing("three"));
    let all = json!({
        "chaos": [],
        "clients": {"inventory": "two", "payment": "one"},
        "limiters": {"inbound": "three"},
    });
    assert_eq!(registry.snapshot(), all);

    drop(kept);
    drop(first);
    assert_eq!(registry.snapshot(), json!({"chaos": [], "clients": {"inventory": "two"}}));
}

#[test]
fn the_order_does_not_depend_on_that_of_registration() {
    let names = ["b", "a", "d", "c"];
    let things: Vec<_> = names.iter().map(|_| Arc::new(Thing("same"))).collect();
    let (one, other) = (registry(), registry());
    for (name, thing) in names.iter().zip(&things) {
        one.watch("clients", name, thing);
    }
    for (name, thing) in names.iter().zip(&things).rev() {
        other.watch("clients", name, thing);
    }
    let text = one.snapshot().to_string();
    assert_eq!(text, other.snapshot().to_string());
    assert!(text.contains(r#"{"a":"same","b":"same","c":"same","d":"same"}"#), "{text}");
}

#[test]
fn a_name_that_is_taken_gets_a_number_and_is_free_again_later() {
    let registry = registry();
    let things: Vec<_> = (0..3).map(|_| Arc::new(Thing("same"))).collect();
    let names: Vec<_> =
        things.iter().map(|thing| registry.watch("clients", "payment", thing)).collect();
    assert_eq!(names, ["payment", "payment~2", "payment~3"]);
    drop(things);
    assert_eq!(registry.watch("clients", "payment", &Arc::new(Thing("new"))), "payment");
}

#[test]
fn names_can_stand_in_a_path() {
    let registry = registry();
    for (name, expected) in [
        ("payment.processor", "payment.processor"),
        ("inventory@10.0.0.1:50051", "inventory@10.0.0.1:50051"),
        ("inventory/10.0.0.1 b", "inventory-10.0.0.1-b"),
        ("größe%", "gr--e-"),
        ("..", "-.."),
        ("", "-"),
    ] {
        assert_eq!(registry.watch("things", name, &Arc::new(Thing("gone"))), expected);
    }
}

#[test]
fn a_thing_may_be_dropped_by_its_own_snapshot() {
    struct Last(Mutex<Option<Kept>>);

    impl Inspect for Last {
        fn snapshot(&self, _: Time) -> Value {
            json!(self.0.lock().unwrap().take().is_some())
        }
    }

    let registry = registry();
    let kept = registry.keep("things", "b", Thing("dropped"));
    let _last = registry.keep("things", "a", Last(Mutex::new(Some(kept))));
    assert_eq!(registry.snapshot()["things"], json!({"a": true, "b": "dropped"}));
    assert_eq!(registry.snapshot()["things"], json!({"a": false}));
}

#[test]
fn a_breaker_is_commanded_by_its_name() {
    let registry = registry();
    let (payment, inventory) = (breaker("payment"), breaker("inventory/a"));
    let _kept = [
        registry.keep("breakers", "payment", payment.clone()),
        registry.keep("breakers", "inventory/a", inventory.clone()),
    ];
    assert_eq!(registry.breakers(), ["inventory-a", "payment"]);

    registry.set_breaker_mode("payment", Mode::ForcedOpen).unwrap();
    assert_eq!((payment.mode(), inventory.mode()), (Mode::ForcedOpen, Mode::Normal));
    assert_eq!(registry.snapshot()["breakers"]["payment"]["mode"], json!("forced_open"));
    registry.set_breaker_mode("inventory-a", Mode::Disabled).unwrap();
    assert_eq!(inventory.mode(), Mode::Disabled);

    let error = registry.set_breaker_mode("paymnet", Mode::Normal).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no breaker \"paymnet\"; there are: inventory-a, payment"
    );
}

#[test]
fn all_breakers_of_a_name_are_commanded() {
    let registry = registry();
    let breakers = [breaker("payment"), breaker("payment")];
    let _kept = breakers.clone().map(|breaker| registry.keep("breakers", "payment", breaker));
    registry.set_breaker_mode("payment", Mode::MetricsOnly).unwrap();
    assert_eq!(breakers.map(|breaker| breaker.mode()), [Mode::MetricsOnly; 2]);
}

#[tokio::test]
async fn an_executor_is_seen_with_its_breaker_and_obeys_the_chaos() {
    use crate::chaos::Effect;
    use crate::exec::{ExecError, Operation, Rejection};

    let registry = Registry::new(Environment::tokio());
    let executor = Executor::builder("payment.processor").registry(&registry).build().unwrap();
    let get = Operation::safe("get").attempts(1);
    let run = async || executor.run(&get, async |_| Ok::<_, std::io::Error>(7)).await;
    assert_eq!(run().await.unwrap(), 7);
    let seen = &registry.snapshot()["executors"]["payment.processor"];
    assert_eq!(seen["in_flight"], json!(0));
    assert_eq!(seen["breaker"]["state"], json!("closed"));
    assert_eq!(seen["operations"]["get"]["p50_ms"], Value::Null);

    let fault = Effect::Error(tonic::Code::Unavailable);
    registry.set_chaos(vec![Rule::new(fault)]).unwrap();
    assert!(matches!(run().await, Err(ExecError::Rejected(Rejection::Injected(_)))));
    registry.clear_chaos();
    registry.set_breaker_mode("payment.processor", Mode::ForcedOpen).unwrap();
    assert!(matches!(run().await, Err(ExecError::Rejected(Rejection::BreakerOpen { .. }))));

    drop(executor);
    assert_eq!(registry.snapshot(), json!({"chaos": []}));
}

#[test]
fn a_recorder_and_a_limiter_can_be_seen_too() {
    use crate::core::limit::{Limiter, Settings};

    let registry = registry();
    let limiter = Limiter::new(Settings::default(), registry.environment()).unwrap();
    let _slot = limiter.try_acquire(registry.environment().clock.now()).unwrap();
    let _limiter = registry.keep("limiters", "inbound", limiter.clone());
    assert_eq!(registry.snapshot()["limiters"]["inbound"]["inflight"], json!(1));

    let recorder = Recorder::default();
    crate::observe::Metrics::counter(&recorder, "calls", &[]).add(3);
    let _kept = registry.keep("metrics", "all", recorder);
    let seen = &registry.snapshot()["metrics"]["all"]["counters"]["calls"];
    assert_eq!(*seen, json!([{"labels": {}, "value": 3}]));
}

#[test]
fn each_thread_sees_its_own_while_others_come_and_go() {
    let registry = registry();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let thing = Arc::new(Thing("thing"));
                    let name = registry.watch("things", "same", &thing);
                    assert_eq!(registry.snapshot()["things"][&name], json!("thing"));
                }
            });
        }
    });
    // How many were seen at once has no bound: a look keeps what it looks at for as long as it
    // takes, and so may the next look, which began meanwhile. In the end nothing is left.
    assert_eq!(registry.snapshot(), json!({"chaos": []}));
}
