//! What a caller gets to see, and what is left behind.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use http::HeaderValue;
use http_body::Frame;
use tokio::time::Instant;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use trellis_resilience::Environment;
use trellis_resilience::chaos::{Chaos, Effect, Latency, Rule};
use trellis_resilience::context::{self, Inbound};
use trellis_resilience::core::outcome::FailureKind;
use trellis_resilience::core::random::Random;
use trellis_resilience::core::{breaker, budget};
use trellis_resilience::grpc::client::{Client, Over};
use trellis_resilience::grpc::status::Local;
use trellis_resilience::grpc::timeout;
use trellis_resilience::net::SendError;
use trellis_resilience::observe::Recorder;
use trellis_resilience::policy::{Hedge, MethodPolicy, PolicyTable};
use trellis_resilience::registry::Registry;

use crate::peer::{
    Answer, MS, Peer, all, call, client_of, framed, ok, only_retries, pushing_back, refusal,
    streamed, trailers,
};

/// Behaviour 38.
#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_known_as_such_and_unavailable() {
    let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
    let in_the_head = Peer::at_once(move |_| Err(reset().into()));
    let in_the_body = Peer::at_once(move |_| {
        let lost = Status::from_error(Box::new(reset()));
        Ok(streamed([Ok(Frame::data(framed(b"some"))), Err(lost)]))
    });

    for peer in [in_the_head, in_the_body] {
        let client = client_of(&peer, MethodPolicy::default());

        let status = call(&client).await.unwrap_err();

        let source = std::error::Error::source(&status).unwrap();
        let lost = source.downcast_ref::<SendError>().unwrap();
        assert_eq!((status.code(), lost.kind), (Code::Unavailable, FailureKind::ConnectionLost));
        assert_eq!(client.snapshot().breaker.window.failures, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_its_sender_does_not_allow_itself_is_no_failure_of_the_peer() {
    for attempts in [1, 3] {
        let peer = Peer::at_once(|_| ok());
        let client = client_of(&peer, MethodPolicy::idempotent().attempts(attempts));
        let mut health = HealthClient::new(client.clone()).max_encoding_message_size(100);

        let service = "x".repeat(101);
        let status = health.check(HealthCheckRequest { service }).await.unwrap_err();

        assert_eq!((status.code(), peer.attempts()), (Code::OutOfRange, 0), "{status:?}");
        assert_eq!(client.snapshot().breaker.window.failures, 0);
        assert_eq!(client.snapshot().inflight, 0);
    }
}

/// Behaviour 39.
#[tokio::test(start_paused = true)]
async fn malformed_details_reach_nobody_who_would_panic() {
    let head = || {
        let mut response = refusal(Code::Unavailable)?;
        let details = HeaderValue::from_static("%%% no base64 %%%");
        response.headers_mut().insert("grpc-status-details-bin", details);
        Ok(response)
    };
    let body = || {
        let mut end = trailers(Code::Unavailable).unwrap();
        let details = HeaderValue::from_static("%%% no base64 %%%");
        end.trailers_mut().unwrap().insert("grpc-status-details-bin", details);
        Ok(streamed([Ok(end)]))
    };
    for answer in [head as fn() -> Answer, body] {
        let peer = Peer::at_once(move |_| answer());
        let mut client = HealthClient::new(client_of(&peer, MethodPolicy::default()));

        let status = client.check(HealthCheckRequest::default()).await.unwrap_err();

        assert_eq!(status.code(), Code::Unavailable);
    }
}

#[tokio::test(start_paused = true)]
async fn the_peers_own_word_is_handed_on_as_it_is() {
    let peer = Peer::at_once(|_| {
        let mut status = Status::with_details(Code::NotFound, "no mug", b"details"[..].into());
        status.metadata_mut().insert("x-reason", "sold".parse().unwrap());
        Ok(status.into_http())
    });
    let client = client_of(&peer, MethodPolicy::safe());

    let status = call(&client).await.unwrap_err();

    assert_eq!((status.code(), status.message()), (Code::NotFound, "no mug"));
    assert_eq!(status.details(), b"details");
    assert_eq!(status.metadata().get("x-reason").unwrap(), "sold");
    assert_eq!(Local::of(&status), None);
    assert_eq!(peer.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn more_calls_than_the_bulkhead_holds_are_refused_at_once() {
    let peer = Peer::new(async |_| {
        tokio::time::sleep(100 * MS).await;
        ok()
    });
    let client = Client::builder("peer").bulkhead(2).over(peer.clone()).build().unwrap();

    let (one, two, three) = tokio::join!(call(&client), call(&client), call(&client));

    assert!(one.is_ok() && two.is_ok());
    assert_eq!(Local::of(&three.unwrap_err()), Some(Local::BulkheadFull));
    call(&client).await.unwrap();
}

fn chaotic(effect: Effect) -> (Peer, Client<Over<Peer>>) {
    let environment = Environment::tokio();
    let chaos = Arc::new(Chaos::new(&environment));
    chaos.set(vec![Rule::new(effect).target("peer").hits(1)]).unwrap();
    let peer = Peer::at_once(|_| ok());
    let client = only_retries(Client::builder("peer"))
        .policies(all(MethodPolicy::default()))
        .environment(environment)
        .chaos(chaos)
        .over(peer.clone())
        .build()
        .unwrap();
    (peer, client)
}

#[tokio::test(start_paused = true)]
async fn faults_on_purpose_are_as_real_as_others() {
    let known = |status: &Status| {
        let source = std::error::Error::source(status)?;
        source.downcast_ref::<SendError>().map(|lost| lost.kind)
    };
    let lost = (Code::Unavailable, Some(FailureKind::ConnectionLost));
    for (effect, code, arrived) in [
        (Effect::Error(Code::Internal), (Code::Internal, None), 0),
        (Effect::Hang, (Code::DeadlineExceeded, None), 0),
        (Effect::Reset, lost, 0),
        (Effect::DropResponse, lost, 1),
    ] {
        let (peer, client) = chaotic(effect);

        let status = call(&client).await.unwrap_err();

        assert_eq!((status.code(), known(&status)), code, "{effect:?}");
        assert_eq!(peer.attempts(), arrived, "{effect:?}");
        assert_eq!(client.snapshot().breaker.window.failures, 1, "{effect:?}");
        call(&client).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn latency_on_purpose_counts_as_part_of_the_attempt() {
    let (peer, client) = chaotic(Effect::Latency(Latency { from: 300 * MS, to: 300 * MS }));
    let began = Instant::now();

    call(&client).await.unwrap();

    assert_eq!(began.elapsed(), 300 * MS);
    let granted = timeout::read(&peer.seen()[0].headers).unwrap();
    assert_eq!(granted, Some(700 * MS));
}

fn counted(recorder: &Recorder, name: &str, labels: &[(&str, &str)]) -> u64 {
    let labels: Vec<_> = labels.iter().chain(&[("target", "peer")]).copied().collect();
    recorder.counter(name, &labels)
}

#[tokio::test(start_paused = true)]
async fn what_happened_is_counted() {
    let recorder = Recorder::default();
    let environment = Environment { metrics: Arc::new(recorder.clone()), ..Environment::tokio() };
    let peer = Peer::at_once(|n| match n {
        0 => refusal(Code::Unavailable),
        1 | 2 => ok(),
        3 => refusal(Code::NotFound),
        _ => pushing_back(Code::Unavailable, &["-1"]),
    });
    let policies = PolicyTable::default().method("/shop.Stock/Get", MethodPolicy::safe());
    let client = only_retries(Client::builder("peer"))
        .policies(policies)
        .environment(environment)
        .over(peer)
        .build()
        .unwrap();

    for _ in 0..4 {
        let _ = call(&client).await;
    }
    let (hasty, _) = context::scope(expired(), call(&client)).await;
    hasty.unwrap_err();

    let calls = |labels: &[_]| counted(&recorder, "resilience_calls_total", labels);
    assert_eq!(calls(&[("code", "OK"), ("origin", "remote")]), 2);
    assert_eq!(calls(&[("code", "NOT_FOUND"), ("origin", "remote")]), 1);
    assert_eq!(calls(&[("code", "UNAVAILABLE"), ("method", "/shop.Stock/Get")]), 1);
    assert_eq!(calls(&[("code", "DEADLINE_EXCEEDED"), ("origin", "local")]), 1);
    let attempts = |labels: &[_]| counted(&recorder, "resilience_attempts_total", labels);
    assert_eq!(attempts(&[("n", "1"), ("reason", "first")]), 4);
    assert_eq!(attempts(&[("n", "2"), ("reason", "retry")]), 1);
    let suppressed = [("cause", "pushback")];
    assert_eq!(counted(&recorder, "resilience_retries_suppressed_total", &suppressed), 1);
    assert_eq!(counted(&recorder, "resilience_rejections_total", &[("stage", "deadline")]), 1);
    let spread = |name| recorder.histogram(name, &[("target", "peer")]).count;
    assert_eq!(spread("resilience_call_seconds"), 4);
    assert_eq!(spread("resilience_attempt_seconds"), 5);
    assert_eq!(spread("resilience_attempts_per_call"), 4);
    assert_eq!(spread("resilience_deadline_remaining_at_finish_seconds"), 4);
}

fn expired() -> Inbound {
    Inbound { deadline: Some(Instant::now()), ..Inbound::default() }
}

/// Unoptimized, a million calls take minutes.
const CALLS: usize = if cfg!(debug_assertions) { 10_000 } else { 1_000_000 };

/// In one of many ways, after some time.
fn random_fate(chance: &Random) -> impl Future<Output = Answer> + use<> {
    let (fate, delay) = (chance.below(9), chance.between(Duration::ZERO, 40 * MS));
    async move {
        if fate > 3 {
            tokio::time::sleep(delay).await;
        }
        match fate {
            0 | 4 => ok(),
            1 | 5 => refusal(Code::Unavailable),
            // Without a word of the panic hook, which is slow.
            2 | 6 => std::panic::resume_unwind(Box::new("on purpose")),
            3 => Err(io::Error::from(io::ErrorKind::ConnectionReset).into()),
            7 => Ok(crate::streaming::stalling()),
            _ => std::future::pending().await,
        }
    }
}

/// Makes calls whose callers may leave at any moment.
async fn storm(client: &Client<Over<Peer>>, chance: &Random) {
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..CALLS {
        let (client, patience) = (client.clone(), chance.between(Duration::ZERO, 90 * MS));
        calls.spawn(async move {
            let call = AssertUnwindSafe(call(&client)).catch_unwind();
            tokio::time::timeout(patience, call).await.is_ok()
        });
        if n % 40 == 0 {
            tokio::time::sleep(MS).await;
            while calls.try_join_next().is_some() {}
        }
    }
    calls.join_all().await;
}

/// Behaviour 48.
#[tokio::test(start_paused = true)]
async fn whatever_becomes_of_calls_nothing_is_left_behind() {
    let recorder = Recorder::default();
    let environment = Environment { metrics: Arc::new(recorder.clone()), ..Environment::tokio() };
    let chance = Arc::new(Random::seeded(48));
    let fates = Arc::clone(&chance);
    let peer = Peer::new(move |_| random_fate(&fates));
    let policy = MethodPolicy::safe().hedge(Hedge::After(10 * MS));
    // Nothing comes in, so that what is missing must have been spent. A retry after a
    // timeout would cost double; here none has the time.
    let budget = budget::Settings { ratio: 0.0, floor_per_second: 0.0, burst: 60_000 };
    let client = only_retries(Client::builder("peer"))
        .policies(all(policy.timeout(60 * MS).attempt_timeout(60 * MS)))
        .environment(environment)
        .budget(budget)
        .bulkhead(usize::MAX)
        .over(peer.clone())
        .build()
        .unwrap();

    storm(&client, &chance).await;

    let counted = |labels: &[_]| counted(&recorder, "resilience_attempts_total", labels);
    let more = counted(&[("reason", "retry")]) + counted(&[("reason", "hedge")]);
    assert!(more > 100, "{more} attempts were paid for");
    let tokens = client.snapshot().retry_tokens;
    let missing = 60_000.0 - tokens;
    assert!(
        (missing - f64::from(u32::try_from(more).unwrap())).abs() < 1e-6,
        "{missing} of {more}"
    );
    assert_eq!(client.snapshot().inflight, 0);
    assert_eq!(peer.running(), 0);
    assert!(peer.cancelled() > 100);
}

/// Behaviour 48.
#[tokio::test(start_paused = true)]
async fn a_breaker_comes_back_from_whatever_became_of_its_probes() {
    let storms = Arc::new(AtomicBool::new(true));
    let (chance, is_storming) = (Arc::new(Random::seeded(84)), Arc::clone(&storms));
    let fates = Arc::clone(&chance);
    let peer = Peer::new(move |_| {
        let fate = is_storming.load(Ordering::Relaxed).then(|| random_fate(&fates));
        async move {
            match fate {
                Some(fate) => fate.await,
                None => ok(),
            }
        }
    });
    let settings = breaker::Settings { open_base: 5 * MS, open_cap: 20 * MS, ..Default::default() };
    let client = Client::builder("peer")
        .policies(all(MethodPolicy::safe().timeout(60 * MS)))
        .breaker(settings)
        .over(peer)
        .build()
        .unwrap();

    storm(&client, &chance).await;
    let breaker = client.snapshot().breaker;
    assert!(breaker.generation > 10, "{breaker:?}");
    storms.store(false, Ordering::Relaxed);
    for _ in 0..600 {
        tokio::time::sleep(100 * MS).await;
        let _ = call(&client).await;
    }

    assert_eq!(client.snapshot().breaker.state, breaker::State::Closed);
    for _ in 0..100 {
        call(&client).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_peer_goes_on_and_counts_as_a_failure() {
    let peer = Peer::new(async |_| panic!("on purpose"));
    let client = client_of(&peer, MethodPolicy::default());

    let panicked = AssertUnwindSafe(call(&client)).catch_unwind().await;

    assert!(panicked.is_err());
    let snapshot = client.snapshot();
    assert_eq!((snapshot.inflight, snapshot.breaker.window.failures), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn something_can_be_put_into_the_headers_of_every_attempt() {
    let peer = Peer::at_once(|n| if n == 0 { refusal(Code::Unavailable) } else { ok() });
    let client = only_retries(Client::builder("peer"))
        .policies(all(MethodPolicy::safe()))
        .inject(|headers| {
            headers.insert("traceparent", HeaderValue::from_static("00-1-2-01"));
        })
        .over(peer.clone())
        .build()
        .unwrap();

    call(&client).await.unwrap();

    assert!(peer.seen().iter().all(|seen| seen.headers["traceparent"] == "00-1-2-01"));
    assert_eq!(peer.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn it_is_shown_to_operators_for_as_long_as_it_lives() {
    let registry = Registry::new(Environment::tokio());
    let peer = Peer::at_once(|_| ok());
    let policies =
        PolicyTable::new(MethodPolicy::default()).method("/shop.Stock/Get", MethodPolicy::safe());
    let client =
        Client::builder("stock").policies(policies).registry(&registry).over(peer).build().unwrap();
    for _ in 0..200 {
        call(&client).await.unwrap();
    }

    let shown = registry.snapshot();
    let stock = &shown["clients"]["stock"];
    assert_eq!(stock["inflight"], 0);
    assert_eq!(stock["breaker"]["state"], "closed");
    assert_eq!(stock["methods"][0]["path"], "/shop.Stock/Get");
    assert!(stock["methods"][0]["p50_ms"].is_number(), "{stock}");
    assert_eq!(registry.breakers(), ["stock"]);

    drop(client);
    assert!(registry.snapshot().get("clients").is_none());
}
