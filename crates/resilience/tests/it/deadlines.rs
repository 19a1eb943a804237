//! How much time a call has, and what becomes of it when that is over.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use tonic::Code;
use trellis_resilience::context::{self, Inbound};
use trellis_resilience::grpc::client::{Client, Over};
use trellis_resilience::grpc::status::Local;
use trellis_resilience::grpc::timeout;
use trellis_resilience::policy::{Criticality, MethodPolicy};

use crate::peer::{MS, Peer, call, client_of, ok, refusal, request, send};

fn answering() -> (Peer, Client<Over<Peer>>) {
    let peer = Peer::at_once(|_| ok());
    let client = client_of(&peer, MethodPolicy::default());
    (peer, client)
}

fn granted(peer: &Peer) -> Vec<Option<Duration>> {
    peer.seen().iter().map(|seen| timeout::read(&seen.headers).unwrap()).collect()
}

fn within(limit: Duration) -> Inbound {
    Inbound { deadline: Some(Instant::now() + limit), ..Inbound::default() }
}

/// Behaviour 34.
#[tokio::test(start_paused = true)]
async fn what_is_left_of_the_inbound_call_is_handed_on() {
    let (peer, client) = answering();

    let serving = async {
        tokio::time::sleep(120 * MS).await;
        call(&client).await.unwrap();
    };
    context::scope(within(200 * MS), serving).await;

    assert_eq!(granted(&peer), [Some(75 * MS)]);
}

/// Behaviour 34.
#[tokio::test(start_paused = true)]
async fn no_attempt_is_granted_more_than_is_left() {
    let seen: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let began = Arc::clone(&seen);
    let peer = Peer::new(move |_| {
        began.lock().unwrap().push(Instant::now());
        async {
            tokio::time::sleep(Duration::from_micros(7_777)).await;
            refusal(Code::Unavailable)
        }
    });
    let client = client_of(&peer, MethodPolicy::idempotent().attempts(5));
    let inbound = within(Duration::from_micros(166_667));
    let deadline = inbound.deadline.unwrap();

    context::scope(inbound, call(&client)).await.0.unwrap_err();

    let seen = seen.lock().unwrap();
    assert!(seen.len() > 1);
    for (began, granted) in seen.iter().zip(granted(&peer)) {
        let left = deadline - *began;
        assert!(granted.unwrap() <= left, "{granted:?} of {left:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_may_ask_for_less_or_for_more_than_the_policy_but_not_than_it_has() {
    for (own, inbound, expected) in [
        (None, None, 1000),
        (Some(300), None, 300),
        (Some(3000), None, 3000),
        (Some(3000), Some(2005), 2000),
        (Some(300), Some(2005), 300),
    ] {
        let (peer, client) = answering();
        let mut asked = request(b"hello");
        if let Some(own) = own {
            timeout::write(asked.headers_mut(), own * MS);
        }
        let inbound = inbound.map_or_else(Inbound::default, |limit| within(limit * MS));

        context::scope(inbound, send(&client, asked)).await.0.unwrap();

        assert_eq!(granted(&peer), [Some(expected * MS)]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_done_in_time_is_not_begun() {
    let (peer, client) = answering();

    let (answer, _) = context::scope(within(Duration::from_micros(5_999)), call(&client)).await;

    let status = answer.unwrap_err();
    assert_eq!(Local::of(&status), Some(Local::DeadlineTooShort));
    assert_eq!((status.code(), peer.attempts()), (Code::DeadlineExceeded, 0));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_that_makes_no_sense_is_the_callers_fault() {
    let (peer, client) = answering();
    let mut asked = request(b"hello");
    asked.headers_mut().insert(timeout::HEADER, "soon".parse().unwrap());

    let status = send(&client, asked).await.unwrap_err();

    assert_eq!((status.code(), peer.attempts()), (Code::InvalidArgument, 0));
}

/// Behaviour 35.
#[tokio::test(start_paused = true)]
async fn a_peer_that_never_answers_ends_at_the_deadline() {
    let peer = Peer::new(async |_| pending().await);
    let client = client_of(&peer, MethodPolicy::default().timeout(250 * MS));
    let began = Instant::now();

    let status = call(&client).await.unwrap_err();

    assert_eq!((status.code(), began.elapsed()), (Code::DeadlineExceeded, 250 * MS));
    assert_eq!((peer.attempts(), peer.cancelled()), (1, 1));
    assert_eq!(client.snapshot().inflight, 0);
}

/// Behaviour 35.
#[tokio::test(start_paused = true)]
async fn a_service_that_never_becomes_ready_ends_at_the_deadline() {
    #[derive(Clone)]
    struct NeverReady;
    impl tower::Service<http::Request<tonic::body::Body>> for NeverReady {
        type Response = http::Response<tonic::body::Body>;
        type Error = tower::BoxError;
        type Future = std::future::Pending<Result<Self::Response, Self::Error>>;

        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), Self::Error>> {
            std::task::Poll::Pending
        }

        fn call(&mut self, _: http::Request<tonic::body::Body>) -> Self::Future {
            unreachable!("it is not ready")
        }
    }
    let client = Client::builder("peer").over(NeverReady).build().unwrap();
    let began = Instant::now();

    let status = call(&client).await.unwrap_err();

    assert_eq!((status.code(), began.elapsed()), (Code::DeadlineExceeded, 1000 * MS));
}

#[tokio::test(start_paused = true)]
async fn the_time_of_an_attempt_covers_the_response_to_its_end() {
    let peer = Peer::at_once(|_| Ok(crate::streaming::stalling()));
    let client = client_of(&peer, MethodPolicy::idempotent());
    let began = Instant::now();

    let status = call(&client).await.unwrap_err();

    assert_eq!((status.code(), began.elapsed()), (Code::DeadlineExceeded, 500 * MS));
    assert_eq!(peer.attempts(), 1, "the response had begun");
}

#[tokio::test(start_paused = true)]
async fn how_bad_it_is_to_refuse_a_call_is_handed_on() {
    use Criticality::{Critical, CriticalPlus, Sheddable, SheddablePlus};
    for (policy, inbound, expected) in [
        (Critical, Critical, Critical),
        (CriticalPlus, Critical, CriticalPlus),
        (Critical, CriticalPlus, CriticalPlus),
        (Sheddable, CriticalPlus, Sheddable),
        (Critical, Sheddable, Sheddable),
        (CriticalPlus, SheddablePlus, SheddablePlus),
        (Sheddable, SheddablePlus, Sheddable),
    ] {
        let names = ["critical-plus", "critical", "sheddable-plus", "sheddable"];
        let peer = Peer::at_once(|_| ok());
        let client = client_of(&peer, MethodPolicy::default().criticality(policy));
        let inbound = Inbound { criticality: inbound, ..Inbound::default() };

        context::scope(inbound, call(&client)).await.0.unwrap();

        // What is not said is critical.
        let seen = peer.seen();
        let header = seen[0].headers.get("x-resilience-criticality");
        let said = header.map_or("critical", |header| header.to_str().unwrap());
        assert_eq!(said, names[expected as usize], "{policy:?} within {inbound:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_for_a_retry_is_not_retried_below() {
    let peer = Peer::at_once(|_| refusal(Code::Unavailable));
    let client = client_of(&peer, MethodPolicy::idempotent());
    let inbound = Inbound { retried_hops: 1, previous_attempts: 1, ..Inbound::default() };

    let (_, exhausted) = context::scope(inbound, call(&client)).await;

    assert_eq!(peer.attempts(), 1);
    assert_eq!(peer.seen()[0].headers["x-resilience-hops-retried"], "1");
    assert!(!exhausted, "nothing was tried that those above would multiply");
}

#[tokio::test(start_paused = true)]
async fn who_used_up_the_attempts_tells_those_above() {
    let peer = Peer::at_once(|_| refusal(Code::Unavailable));
    let client = client_of(&peer, MethodPolicy::idempotent());

    let (_, exhausted) = context::scope(Inbound::default(), call(&client)).await;

    assert_eq!(peer.attempts(), 3);
    assert!(exhausted);
}

#[tokio::test(start_paused = true)]
async fn a_retry_within_a_retry_costs_double() {
    let peer = Peer::at_once(|n| if n == 0 { refusal(Code::Unavailable) } else { ok() });
    let client = client_of(&peer, MethodPolicy::idempotent());
    let inbound = Inbound { previous_attempts: 1, ..Inbound::default() };

    context::scope(inbound, call(&client)).await.0.unwrap();

    let tokens = client.snapshot().retry_tokens;
    assert!((8.0..8.2).contains(&tokens), "{tokens}");
}
