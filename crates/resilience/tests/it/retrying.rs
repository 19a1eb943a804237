//! When a call is sent again, and when it is not.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use trellis_resilience::core::backoff::{Backoff, Jitter};
use trellis_resilience::core::breaker;
use trellis_resilience::core::outcome::FailureKind;
use trellis_resilience::grpc::client::Client;
use trellis_resilience::grpc::status::Local;
use trellis_resilience::net::SendError;
use trellis_resilience::policy::MethodPolicy;

use crate::peer::{
    Answer, MS, Peer, all, call, client_of, framed, ok, pushing_back, refusal, request,
    request_with, send, streamed, trailers,
};

fn fails_first(times: usize, failure: fn() -> Answer) -> Peer {
    Peer::at_once(move |n| if n < times { failure() } else { ok() })
}

fn unavailable() -> Answer {
    refusal(Code::Unavailable)
}

/// The connection goes while the call is in flight.
fn lost() -> Answer {
    Err(io::Error::from(io::ErrorKind::ConnectionReset).into())
}

/// The peer cannot have seen it.
fn refused() -> Answer {
    Err(tonic::ConnectError(io::Error::from(io::ErrorKind::ConnectionRefused).into()).into())
}

fn idempotent() -> MethodPolicy {
    MethodPolicy::idempotent()
}

fn with_delay(policy: &MethodPolicy, base: Duration) -> MethodPolicy {
    let backoff = Backoff { base, cap: Duration::from_secs(10), jitter: Jitter::Equal };
    MethodPolicy { backoff, ..policy.clone() }
}

/// Behaviour 19.
#[tokio::test(start_paused = true)]
async fn an_outage_costs_a_tenth_more_attempts_and_no_multiple() {
    let peer = Peer::at_once(|_| unavailable());
    let client = client_of(&peer, idempotent());
    let mut calls = tokio::task::JoinSet::new();

    for _ in 0..1_500 {
        let client = client.clone();
        calls.spawn(async move {
            let twenty = (0..20).map(|_| call(&client));
            futures::future::join_all(twenty).await
        });
        tokio::time::sleep(20 * MS).await;
    }

    for answer in calls.join_all().await.into_iter().flatten() {
        assert_eq!(answer.unwrap_err().code(), Code::Unavailable);
    }
    // A floor of one in a second over 30 s, and the burst of 10 that it starts with.
    let most = 33_000 + 30 + 10;
    assert!((32_000..=most).contains(&peer.attempts()), "{} attempts", peer.attempts());
}

/// Behaviour 21.
#[tokio::test(start_paused = true)]
async fn what_would_be_done_twice_is_sent_again_only_if_it_never_arrived() {
    let lossy = fails_first(1, lost);
    let status = call(&client_of(&lossy, MethodPolicy::default())).await.unwrap_err();
    assert_eq!((lossy.attempts(), status.code()), (1, Code::Unavailable));
    assert_eq!(kind(&status), FailureKind::ConnectionLost, "its fate is unknown");

    let restarting = fails_first(1, refused);
    call(&client_of(&restarting, MethodPolicy::default())).await.unwrap();
    assert_eq!(restarting.attempts(), 2);

    let lossy = fails_first(1, lost);
    call(&client_of(&lossy, MethodPolicy::with_key())).await.unwrap();
    assert_eq!(lossy.attempts(), 2);
}

fn kind(status: &Status) -> FailureKind {
    let source = std::error::Error::source(status).unwrap();
    source.downcast_ref::<SendError>().unwrap().kind
}

/// Behaviour 22.
#[tokio::test(start_paused = true)]
async fn a_pushback_is_kept_to_and_then_the_backoff_begins_anew() {
    let policy = with_delay(&idempotent(), 40 * MS).timeout(10_000 * MS).attempts(5);
    let peer = Peer::at_once(|n| match n {
        0 | 1 | 3 => unavailable(),
        2 => pushing_back(Code::Unavailable, &["250"]),
        _ => ok(),
    });

    call(&client_of(&peer, policy)).await.unwrap();

    let gaps = peer.gaps();
    assert!((20 * MS..=41 * MS).contains(&gaps[0]), "{gaps:?}");
    assert!((40 * MS..=81 * MS).contains(&gaps[1]), "{gaps:?}");
    // The timer has a resolution of a millisecond, and the attempts before it end
    // between two of those.
    assert!((250 * MS..=251 * MS).contains(&gaps[2]), "{gaps:?}");
    assert!((20 * MS..=41 * MS).contains(&gaps[3]), "{gaps:?}");
}

/// Behaviour 22.
#[tokio::test(start_paused = true)]
async fn a_pushback_on_the_first_attempt_is_exact() {
    let peer = Peer::at_once(|n| match n {
        0 => pushing_back(Code::Unavailable, &["250"]),
        _ => ok(),
    });

    call(&client_of(&peer, idempotent())).await.unwrap();

    assert_eq!(peer.gaps(), [250 * MS]);
}

/// Behaviour 22.
#[tokio::test(start_paused = true)]
async fn a_pushback_that_is_no_number_or_more_than_one_says_stop() {
    for pushback in [&["-1"][..], &["abc"], &["10", "20"]] {
        let peer = Peer::at_once(move |_| pushing_back(Code::Unavailable, pushback));

        let status = call(&client_of(&peer, idempotent())).await.unwrap_err();

        assert_eq!((peer.attempts(), status.code()), (1, Code::Unavailable), "{pushback:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_too_much_to_do_is_only_asked_again_if_it_says_when() {
    let silent = fails_first(1, || refusal(Code::ResourceExhausted));
    call(&client_of(&silent, idempotent())).await.unwrap_err();
    assert_eq!(silent.attempts(), 1);

    let polite = fails_first(1, || pushing_back(Code::ResourceExhausted, &["30"]));
    call(&client_of(&polite, idempotent())).await.unwrap();
    assert_eq!(polite.gaps(), [30 * MS]);
}

/// Behaviour 23.
#[tokio::test(start_paused = true)]
async fn a_retry_that_could_not_end_in_time_is_not_waited_for() {
    let peer = Peer::new(async |n| {
        tokio::time::sleep(60 * MS).await;
        if n == 0 { pushing_back(Code::Unavailable, &["60"]) } else { ok() }
    });
    let policy = idempotent().timeout(100 * MS).attempt_timeout(100 * MS);
    let began = Instant::now();

    let status = call(&client_of(&peer, policy)).await.unwrap_err();

    assert_eq!((status.code(), status.message()), (Code::Unavailable, "later"));
    assert_eq!(began.elapsed(), 60 * MS, "40 ms before the deadline");
    assert_eq!(peer.attempts(), 1);
}

/// Behaviour 24.
#[tokio::test(start_paused = true)]
async fn the_second_attempt_has_the_bytes_of_the_first() {
    for size in [0, 5, 60_000] {
        let peer = fails_first(2, unavailable);
        let message = vec![7; size];

        send(&client_of(&peer, idempotent()), request(&message)).await.unwrap();

        let seen = peer.seen();
        assert_eq!(seen.len(), 3);
        assert!(seen.iter().all(|seen| seen.body == framed(&message)), "{size} bytes");
    }
}

/// Behaviour 24.
#[tokio::test(start_paused = true)]
async fn what_is_too_long_or_still_to_come_is_sent_once_and_whole() {
    let message = vec![7; 70_000];
    let peer = fails_first(1, unavailable);
    send(&client_of(&peer, idempotent()), request(&message)).await.unwrap_err();
    assert_eq!(peer.attempts(), 1);
    assert_eq!(peer.seen()[0].body, framed(&message));

    let pieces = futures::stream::iter(1..4_u8).then(async |piece| {
        tokio::time::sleep(10 * MS).await;
        Ok::<_, Status>(Frame::data(Bytes::from(vec![piece; 3])))
    });
    let peer = fails_first(1, unavailable);
    let body = Body::new(StreamBody::new(Box::pin(pieces)));
    send(&client_of(&peer, idempotent()), request_with(body)).await.unwrap_err();
    assert_eq!(peer.attempts(), 1);
    assert_eq!(peer.seen()[0].body, [1, 1, 1, 2, 2, 2, 3, 3, 3][..]);
}

/// Behaviour 25.
#[tokio::test(start_paused = true)]
async fn a_response_that_has_begun_is_not_begun_anew() {
    let broken = || Ok(streamed([Ok(Frame::data(framed(b"some"))), trailers(Code::Unavailable)]));
    let stream = MethodPolicy {
        idempotency: idempotent().idempotency,
        ..MethodPolicy::server_stream().timeout(1000 * MS)
    };
    let peer = fails_first(1, broken);
    let status = call(&client_of(&peer, stream.clone())).await.unwrap_err();
    assert_eq!((status.code(), peer.attempts()), (Code::Unavailable, 1));

    // Until it has begun, a stream is as good as a unary call.
    for policy in [stream, idempotent()] {
        let peer = fails_first(1, unavailable);
        call(&client_of(&peer, policy)).await.unwrap();
        assert_eq!(peer.attempts(), 2);
    }
}

/// Behaviour 26.
#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_between_two_attempts_takes_its_retry_along() {
    let peer = Peer::at_once(|_| unavailable());
    let client = client_of(&peer, with_delay(&idempotent(), 200 * MS));
    let before = client.snapshot().retry_tokens;

    let left = tokio::time::timeout(50 * MS, call(&client)).await;

    assert!(left.is_err());
    tokio::time::sleep(1000 * MS).await;
    let after = client.snapshot();
    assert_eq!(peer.attempts(), 1);
    assert!((after.retry_tokens - before).abs() < 1e-9, "{}", after.retry_tokens);
    assert_eq!(after.inflight, 0);
}

/// Behaviour 30.
#[tokio::test(start_paused = true)]
async fn a_breaker_that_is_open_is_neither_retried_nor_charged_for() {
    let peer = Peer::at_once(|_| unavailable());
    let settings = breaker::Settings { consecutive_failures: Some(2), ..Default::default() };
    let client = Client::builder("peer")
        .policies(all(idempotent().attempts(1)))
        .breaker(settings)
        .over(peer.clone())
        .build()
        .unwrap();
    for _ in 0..2 {
        call(&client).await.unwrap_err();
    }
    let before = client.snapshot();

    for _ in 0..500 {
        let status = call(&client).await.unwrap_err();
        assert_eq!(Local::of(&status), Some(Local::BreakerOpen));
        assert!(status.metadata().contains_key("grpc-retry-pushback-ms"));
    }

    let after = client.snapshot();
    assert_eq!(peer.attempts(), 2);
    assert!(after.retry_tokens >= before.retry_tokens, "{after:?}");
    assert_eq!(after.breaker.window, before.breaker.window);
    assert!(after.throttle_probability < 1e-9, "{after:?}");
}

/// Behaviour 30.
#[tokio::test(start_paused = true)]
async fn a_breaker_that_opens_between_two_attempts_leaves_the_last_word_to_the_peer() {
    let peer = Peer::at_once(|_| unavailable());
    let settings = breaker::Settings { consecutive_failures: Some(1), ..Default::default() };
    let client = Client::builder("peer")
        .policies(all(idempotent()))
        .breaker(settings)
        .over(peer.clone())
        .build()
        .unwrap();

    let status = call(&client).await.unwrap_err();

    assert_eq!((peer.attempts(), status.message()), (1, "refused"));
    assert!((client.snapshot().retry_tokens - 10.0).abs() < 1e-9);
}

#[tokio::test(start_paused = true)]
async fn every_attempt_says_how_many_came_before_it_and_is_otherwise_the_same() {
    let peer = fails_first(2, unavailable);
    let mut asked = request(b"hello");
    asked.headers_mut().insert("idempotency-key", "k1".parse().unwrap());

    send(&client_of(&peer, MethodPolicy::with_key()), asked).await.unwrap();

    let seen = peer.seen();
    let header = |n: usize, name: &str| {
        seen[n].headers.get(name).map(|value| value.to_str().unwrap().to_owned())
    };
    for (n, previous) in [None, Some("1"), Some("2")].into_iter().enumerate() {
        assert_eq!(header(n, "grpc-previous-rpc-attempts").as_deref(), previous);
        assert_eq!(header(n, "x-resilience-hops-retried").as_deref(), previous.map(|_| "1"));
        assert_eq!(header(n, "idempotency-key").as_deref(), Some("k1"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_followed_by_one_that_costs_double() {
    let peer = Peer::new(async |n| {
        if n == 0 {
            std::future::pending::<()>().await;
        }
        ok()
    });
    let client = client_of(&peer, idempotent());

    call(&client).await.unwrap();

    assert!((500 * MS..530 * MS).contains(&peer.gaps()[0]), "half of a second, and a wait");
    assert_eq!(peer.cancelled(), 1);
    // A full bucket of 10, and half a token that came with time in the meantime and
    // found no place.
    let tokens = client.snapshot().retry_tokens;
    assert!((8.0..8.2).contains(&tokens), "{tokens}");
}

#[tokio::test(start_paused = true)]
async fn a_policy_may_let_internal_be_tried_again() {
    let peer = fails_first(1, || refusal(Code::Internal));
    call(&client_of(&peer, idempotent())).await.unwrap_err();

    let policy = MethodPolicy { retry_internal: true, ..idempotent() };
    call(&client_of(&fails_first(1, || refusal(Code::Internal)), policy)).await.unwrap();

    assert_eq!(peer.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_throttle_that_has_begun_to_refuse_ends_retries() {
    let peer = Peer::at_once(|_| unavailable());
    let client = Client::builder("peer")
        .policies(all(idempotent()))
        .breaker(crate::peer::never_open())
        .over(peer.clone())
        .build()
        .unwrap();
    // Five in a second over 30 s, of which some are refused here.
    let mut sent = 0;
    while client.snapshot().throttle_probability < 1e-9 {
        call(&client).await.unwrap_err();
        sent += 1;
        assert!(sent < 200, "it never began");
    }
    tokio::time::sleep(3_000 * MS).await;
    let before = peer.attempts();

    let mut reached = 0;
    for _ in 0..50 {
        let status = call(&client).await.unwrap_err();
        reached += usize::from(Local::of(&status).is_none());
    }

    assert!(client.snapshot().retry_tokens >= 1.0, "the budget had no say in it");
    assert_eq!(peer.attempts() - before, reached, "one attempt for each call");
}
