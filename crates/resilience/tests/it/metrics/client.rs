//! What clients and executors count.

use std::future::{pending, ready};
use std::time::Duration;

use futures::future::join;
use tonic::Code;
use trellis_resilience::chaos::{Effect, Rule};
use trellis_resilience::core::{breaker, limit};
use trellis_resilience::exec::{Executor, Operation};
use trellis_resilience::grpc::client::{Client, Over};
use trellis_resilience::policy::{Hedge, MethodPolicy};
use trellis_resilience::registry::Registry;

use super::watched;
use crate::peer::{Answer, MS, Peer, all, call, ok, pushing_back, refusal};

type Calls = Client<Over<Peer>>;

/// With the breaker and the throttle that clients have.
fn client(registry: &Registry, policy: MethodPolicy, peer: Peer) -> Calls {
    let builder = Client::builder("peer").policies(all(policy)).registry(registry);
    builder.over(peer).build().unwrap()
}

/// Refuses the first, and answers the rest.
fn first_refused(n: usize) -> Answer {
    if n == 0 { refusal(Code::Unavailable) } else { ok() }
}

fn patient(answer: fn() -> Answer, patience: Duration) -> Peer {
    Peer::new(move |_| async move {
        tokio::time::sleep(patience).await;
        answer()
    })
}

async fn make(client: &Calls, calls: usize) {
    for _ in 0..calls {
        // How they end is counted.
        let _ = call(client).await;
    }
}

/// Metric `resilience_calls_total`.
#[tokio::test(start_paused = true)]
async fn a_call_counts_with_its_code_and_who_said_so() {
    let (registry, recorder) = watched();
    let peer = Peer::new(async |n| match n {
        0 => ok(),
        1 => refusal(Code::NotFound),
        _ => pending().await,
    });
    let client = client(&registry, MethodPolicy::default(), peer);

    make(&client, 3).await;

    for (code, origin) in
        [("OK", "remote"), ("NOT_FOUND", "remote"), ("DEADLINE_EXCEEDED", "local")]
    {
        let labels = [("target", "peer"), ("method", "other"), ("code", code), ("origin", origin)];
        assert_eq!(recorder.counter("resilience_calls_total", &labels), 1, "{code}");
    }
    assert_eq!(recorder.counter("resilience_calls_total", &[]), 3);
}

/// Metric `resilience_attempts_total`.
#[tokio::test(start_paused = true)]
async fn an_attempt_counts_with_its_number_and_its_reason() {
    let (registry, recorder) = watched();
    let client = client(&registry, MethodPolicy::safe(), Peer::at_once(first_refused));

    make(&client, 2).await;

    let attempts =
        |n, reason| recorder.counter("resilience_attempts_total", &[("n", n), ("reason", reason)]);
    assert_eq!((attempts("1", "first"), attempts("2", "retry")), (2, 1));
    assert_eq!(recorder.counter("resilience_attempts_total", &[]), 3);
}

/// Metric `resilience_rejections_total`.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_refused_counts_once_with_the_stage_that_refused_it() {
    let (registry, recorder) = watched();
    let peer = patient(|| refusal(Code::Unavailable), 10 * MS);
    let builder = Client::builder("peer").policies(all(MethodPolicy::default()));
    let client = builder.bulkhead(1).registry(&registry).over(peer).build().unwrap();
    let rejections = |stage| recorder.counter("resilience_rejections_total", &[("stage", stage)]);

    let _ = join(call(&client), call(&client)).await;
    assert_eq!((rejections("bulkhead"), rejections("breaker")), (1, 0));
    make(&client, 4).await;
    assert_eq!((rejections("bulkhead"), rejections("breaker")), (1, 0));
    make(&client, 3).await;
    assert_eq!((rejections("bulkhead"), rejections("breaker")), (1, 3));
}

/// Metric `resilience_rejections_total`.
#[tokio::test(start_paused = true)]
async fn so_does_one_of_an_executor() {
    let (registry, recorder) = watched();
    let executor = Executor::builder("peer").registry(&registry).build().unwrap();
    let read = Operation::new("read");
    let fail = || executor.run(&read, |_| ready(Err::<(), _>("broken")));

    for _ in 0..8 {
        fail().await.unwrap_err();
    }

    let labels = [("target", "peer"), ("stage", "breaker")];
    assert_eq!(recorder.counter("resilience_rejections_total", &labels), 3);
    assert_eq!(recorder.counter("resilience_rejections_total", &[]), 3);
}

/// Metric `resilience_retries_suppressed_total`.
#[tokio::test(start_paused = true)]
async fn a_retry_that_is_not_made_counts_with_its_cause() {
    let (registry, recorder) = watched();
    let peer = Peer::at_once(|_| pushing_back(Code::Unavailable, &["-1"]));
    let client = client(&registry, MethodPolicy::safe(), peer);

    make(&client, 1).await;

    let labels = [("target", "peer"), ("cause", "pushback")];
    assert_eq!(recorder.counter("resilience_retries_suppressed_total", &labels), 1);
    assert_eq!(recorder.counter("resilience_retries_suppressed_total", &[]), 1);
}

/// Metric `resilience_hedges_total`.
#[tokio::test(start_paused = true)]
async fn a_hedge_counts_with_whether_it_won() {
    let (registry, recorder) = watched();
    // Up to number 100 at once; then a straggler and its hedge, of which each is faster
    // once.
    let peer = Peer::new(async |n| {
        let millis = match n {
            ..=99 => 0,
            101 => 10,
            102 => 60,
            _ => 200,
        };
        tokio::time::sleep(Duration::from_millis(millis)).await;
        ok()
    });
    let policy = MethodPolicy::safe().hedge(Hedge::After(50 * MS));
    let client = client(&registry, policy, peer);

    make(&client, 102).await;

    let hedges = |won| recorder.counter("resilience_hedges_total", &[("won", won)]);
    assert_eq!((hedges("true"), hedges("false")), (1, 1));
}

/// Metric `resilience_breaker_transitions_total`.
/// Metric `resilience_breaker_state`.
#[tokio::test(start_paused = true)]
async fn a_breaker_counts_its_changes_and_shows_its_state() {
    let (registry, recorder) = watched();
    let peer = Peer::at_once(|n| if n < 5 { refusal(Code::Unavailable) } else { ok() });
    let client = client(&registry, MethodPolicy::default(), peer);
    let changes = |from, to, reason| {
        let labels = [("breaker", "peer"), ("from", from), ("to", to), ("reason", reason)];
        recorder.counter("resilience_breaker_transitions_total", &labels)
    };
    let state = || recorder.gauge("resilience_breaker_state", &[("breaker", "peer")]);

    assert_eq!(state(), Some(0.0));
    make(&client, 5).await;
    assert_eq!((state(), changes("closed", "open", "consecutive")), (Some(2.0), 1));
    tokio::time::sleep(Duration::from_secs(1)).await;
    make(&client, 1).await;
    assert_eq!((state(), changes("open", "half_open", "wait_over")), (Some(1.0), 1));
    make(&client, 2).await;
    assert_eq!((state(), changes("half_open", "closed", "recovered")), (Some(0.0), 1));
}

/// Metric `resilience_breaker_stale_outcomes_total`.
#[tokio::test(start_paused = true)]
async fn an_outcome_from_before_the_breaker_opened_counts_as_stale() {
    let (registry, recorder) = watched();
    let peer = Peer::new(async |n| {
        tokio::time::sleep(if n == 0 { 100 * MS } else { MS }).await;
        if n == 0 { ok() } else { refusal(Code::Unavailable) }
    });
    let client = client(&registry, MethodPolicy::default(), peer);

    let (slow, ()) = join(call(&client), make(&client, 5)).await;

    slow.unwrap();
    let labels = [("breaker", "peer")];
    assert_eq!(recorder.counter("resilience_breaker_stale_outcomes_total", &labels), 1);
}

/// Metric `resilience_chaos_strikes_total`.
#[tokio::test(start_paused = true)]
async fn a_fault_on_purpose_counts_with_its_rule() {
    let (registry, recorder) = watched();
    let client = client(&registry, MethodPolicy::default(), Peer::at_once(|_| ok()));
    registry.set_chaos(vec![Rule::new(Effect::Reset).target("pe*").hits(2)]).unwrap();

    make(&client, 3).await;

    let labels = [("target", "pe*"), ("method", "*"), ("fault", "reset")];
    assert_eq!(recorder.counter("resilience_chaos_strikes_total", &labels), 2);
}

/// Metric `resilience_retry_budget_tokens`.
#[tokio::test(start_paused = true)]
async fn a_retry_takes_a_token_and_its_call_brings_a_tenth() {
    let (registry, recorder) = watched();
    let client = client(&registry, MethodPolicy::safe(), Peer::at_once(first_refused));
    let tokens = || {
        registry.publish();
        recorder.gauge("resilience_retry_budget_tokens", &[("target", "peer")]).unwrap()
    };

    let before = tokens();
    make(&client, 1).await;

    let spent = before - tokens();
    assert!((0.8..=1.0).contains(&spent), "{spent}");
}

/// Metric `resilience_throttle_probability`.
#[tokio::test(start_paused = true)]
async fn the_throttle_shows_how_likely_it_refuses_also_when_that_fades_by_itself() {
    let (registry, recorder) = watched();
    let never = breaker::Settings {
        consecutive_failures: None,
        failure_rate: None,
        ..breaker::Settings::default()
    };
    let peer = Peer::at_once(|_| refusal(Code::Unavailable));
    let builder = Client::builder("peer").policies(all(MethodPolicy::default()));
    let client = builder.breaker(never).registry(&registry).over(peer).build().unwrap();
    let probability = || {
        registry.publish();
        recorder.gauge("resilience_throttle_probability", &[("target", "peer")]).unwrap()
    };

    make(&client, 1_000).await;
    let refusing = probability();
    tokio::time::sleep(Duration::from_mins(2)).await;

    assert!((0.5..=0.9).contains(&refusing), "{refusing}");
    assert!(probability() <= 0.0);
}

/// Metric `resilience_target_inflight`.
#[tokio::test(start_paused = true)]
async fn a_client_shows_its_calls_in_flight() {
    let (registry, recorder) = watched();
    let client = client(&registry, MethodPolicy::default(), patient(ok, 100 * MS));
    let in_flight = || {
        registry.publish();
        recorder.gauge("resilience_target_inflight", &[("target", "peer")])
    };

    let meanwhile = async {
        tokio::time::sleep(50 * MS).await;
        in_flight()
    };
    let (_, seen) = join(join(call(&client), call(&client)), meanwhile).await;

    assert_eq!((seen, in_flight()), (Some(2.0), Some(0.0)));
}

/// Metric `resilience_target_limit`.
#[tokio::test]
async fn an_executor_shows_the_limit_that_it_found() {
    let (registry, recorder) = watched();
    let settings = limit::Settings { initial: 7, min: 4, ..limit::Settings::default() };
    let executor = Executor::builder("disk").limiter(settings).registry(&registry);
    let _executor = executor.build().unwrap();

    registry.publish();

    assert_eq!(recorder.gauge("resilience_target_limit", &[("target", "disk")]), Some(7.0));
}

/// Metric `resilience_call_seconds`.
/// Metric `resilience_attempt_seconds`.
/// Metric `resilience_attempts_per_call`.
#[tokio::test(start_paused = true)]
async fn calls_and_their_attempts_are_timed_and_attempts_counted_by_the_call() {
    let (registry, recorder) = watched();
    let peer = Peer::new(async |n| {
        tokio::time::sleep(100 * MS).await;
        if n == 0 { pushing_back(Code::Unavailable, &["50"]) } else { ok() }
    });
    let client = client(&registry, MethodPolicy::safe(), peer);

    make(&client, 2).await;

    let seen = |name| {
        let found = recorder.histogram(name, &[("target", "peer")]);
        (found.count, (found.sum * 1_000.0).round() / 1_000.0)
    };
    assert_eq!(seen("resilience_call_seconds"), (2, 0.35));
    assert_eq!(seen("resilience_attempt_seconds"), (3, 0.3));
    assert_eq!(seen("resilience_attempts_per_call"), (2, 3.0));
}

/// Metric `resilience_deadline_remaining_at_finish_seconds`.
#[tokio::test(start_paused = true)]
async fn what_is_left_of_the_time_at_the_end_is_known() {
    let (registry, recorder) = watched();
    let client = client(&registry, MethodPolicy::default(), patient(ok, 300 * MS));
    let executor = Executor::builder("disk").registry(&registry).build().unwrap();
    let read = Operation::safe("read").timeout(2_000 * MS);
    let left = |target| {
        let labels = [("target", target)];
        let found = recorder.histogram("resilience_deadline_remaining_at_finish_seconds", &labels);
        found.mean().map(|mean| (mean * 1_000.0).round() / 1_000.0)
    };

    make(&client, 1).await;
    let reading = executor.run(&read, |_| async {
        tokio::time::sleep(500 * MS).await;
        Ok::<_, std::io::Error>(())
    });
    reading.await.unwrap();

    assert_eq!((left("peer"), left("disk")), (Some(0.7), Some(1.5)));
}
