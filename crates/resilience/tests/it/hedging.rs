//! A second attempt beside the first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tonic::Code;
use trellis_resilience::policy::{Hedge, MethodPolicy};

use crate::peer::{MS, Peer, call, client_of, ok, refusal};

fn hedged(hedge: Hedge) -> MethodPolicy {
    MethodPolicy::safe().hedge(hedge)
}

fn after_p95() -> MethodPolicy {
    hedged(Hedge::AfterP95 { at_least: 5 * MS })
}

/// Behaviour 31.
#[tokio::test(start_paused = true)]
async fn a_straggler_is_overtaken_at_the_95th_percentile() {
    let straggle = Arc::new(AtomicBool::new(false));
    let strays = Arc::clone(&straggle);
    let peer = Peer::new(move |n| {
        let stray = strays.swap(false, Ordering::Relaxed);
        async move {
            // One in ten takes 50 ms, and the rest 10 ms.
            let usual = if n % 10 == 0 { 50 * MS } else { 10 * MS };
            tokio::time::sleep(if stray { 500 * MS } else { usual }).await;
            ok()
        }
    });
    let client = client_of(&peer, after_p95());
    for _ in 0..300 {
        call(&client).await.unwrap();
    }
    let (attempts, cancelled) = (peer.attempts(), peer.cancelled());

    straggle.store(true, Ordering::Relaxed);
    let began = Instant::now();
    call(&client).await.unwrap();
    let took = began.elapsed();

    let delay = peer.gaps()[attempts];
    assert_eq!(peer.attempts(), attempts + 2);
    assert!((49 * MS..=52 * MS).contains(&delay), "{delay:?}");
    assert!(took <= 62 * MS, "{took:?}");
    assert_eq!(peer.cancelled(), cancelled + 1, "the loser is told");
}

/// Behaviour 31.
#[tokio::test(start_paused = true)]
async fn no_hedge_is_sent_before_the_latency_is_known() {
    let peer = Peer::new(async |_| {
        tokio::time::sleep(300 * MS).await;
        ok()
    });
    let client = client_of(&peer, after_p95());

    for _ in 0..50 {
        call(&client).await.unwrap();
    }

    assert_eq!(peer.attempts(), 50);
}

/// A budget for hedges that has room for some.
async fn warmed_up(policy: MethodPolicy, answer: fn(usize) -> (u64, Code)) -> (Peer, Warm) {
    let begun = Arc::new(AtomicU64::new(u64::MAX));
    let from = Arc::clone(&begun);
    let peer = Peer::new(move |n| {
        let from = from.load(Ordering::Relaxed);
        async move {
            let (delay, code) = match u64::try_from(n).unwrap().checked_sub(from) {
                Some(n) => answer(usize::try_from(n).unwrap()),
                None => (0, Code::Ok),
            };
            tokio::time::sleep(Duration::from_millis(delay)).await;
            if code == Code::Ok { ok() } else { refusal(code) }
        }
    });
    let client = client_of(&peer, policy);
    for _ in 0..100 {
        call(&client).await.unwrap();
    }
    begun.store(u64::try_from(peer.attempts()).unwrap(), Ordering::Relaxed);
    (peer.clone(), Warm { client, before: peer.attempts(), cancelled: peer.cancelled() })
}

struct Warm {
    client: trellis_resilience::grpc::client::Client<trellis_resilience::grpc::client::Over<Peer>>,
    before: usize,
    cancelled: usize,
}

/// Behaviour 32.
#[tokio::test(start_paused = true)]
async fn a_failure_before_the_hedge_is_due_sends_it_at_once() {
    let answer = |n| if n == 0 { (10, Code::Unavailable) } else { (10, Code::Ok) };
    let (peer, warm) = warmed_up(hedged(Hedge::After(100 * MS)), answer).await;
    let began = Instant::now();

    call(&warm.client).await.unwrap();

    assert_eq!(began.elapsed(), 20 * MS);
    assert_eq!(peer.attempts(), warm.before + 2);
}

/// Behaviour 32.
#[tokio::test(start_paused = true)]
async fn a_hedge_that_fails_first_waits_for_the_first_attempt() {
    let answer = |n| if n == 0 { (200, Code::Ok) } else { (10, Code::Unavailable) };
    let (peer, warm) = warmed_up(hedged(Hedge::After(50 * MS)), answer).await;
    let began = Instant::now();

    call(&warm.client).await.unwrap();

    assert_eq!(began.elapsed(), 200 * MS);
    assert_eq!(peer.attempts(), warm.before + 2);
}

#[tokio::test(start_paused = true)]
async fn a_first_attempt_that_fails_waits_for_the_hedge() {
    let answer = |n| if n == 0 { (60, Code::Unavailable) } else { (100, Code::Ok) };
    let (peer, warm) = warmed_up(hedged(Hedge::After(50 * MS)), answer).await;
    let began = Instant::now();

    call(&warm.client).await.unwrap();

    assert_eq!(began.elapsed(), 150 * MS);
    assert_eq!(peer.attempts(), warm.before + 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_would_not_change_ends_both() {
    let answer = |n| if n == 0 { (200, Code::Ok) } else { (10, Code::InvalidArgument) };
    let (peer, warm) = warmed_up(hedged(Hedge::After(50 * MS)), answer).await;
    let began = Instant::now();

    let status = call(&warm.client).await.unwrap_err();

    assert_eq!((status.code(), began.elapsed()), (Code::InvalidArgument, 60 * MS));
    assert_eq!(peer.cancelled(), warm.cancelled + 1);
}

#[tokio::test(start_paused = true)]
async fn when_both_fail_the_call_goes_on_as_a_retry() {
    let answer = |n| if n < 2 { (10, Code::Unavailable) } else { (10, Code::Ok) };
    let (peer, warm) = warmed_up(hedged(Hedge::After(5 * MS)), answer).await;

    call(&warm.client).await.unwrap();

    assert_eq!(peer.attempts(), warm.before + 3);
}

#[tokio::test(start_paused = true)]
async fn only_what_changes_nothing_is_hedged() {
    let peer = Peer::new(async |_| {
        tokio::time::sleep(100 * MS).await;
        ok()
    });
    let policy = MethodPolicy::idempotent().hedge(Hedge::After(10 * MS));
    let client = client_of(&peer, policy);

    for _ in 0..50 {
        call(&client).await.unwrap();
    }

    assert_eq!(peer.attempts(), 50);
}

/// Behaviour 33.
#[tokio::test(start_paused = true)]
async fn hedges_stay_below_a_twentieth_when_everything_gets_slow() {
    let slow = Arc::new(AtomicBool::new(false));
    let is_slow = Arc::clone(&slow);
    let peer = Peer::new(move |_| {
        let delay = if is_slow.load(Ordering::Relaxed) { 100 * MS } else { 10 * MS };
        async move {
            tokio::time::sleep(delay).await;
            ok()
        }
    });
    let client = client_of(&peer, after_p95());
    let mut calls = tokio::task::JoinSet::new();

    for n in 0..4_000 {
        slow.store(n >= 1_000, Ordering::Relaxed);
        let client = client.clone();
        calls.spawn(async move { call(&client).await.unwrap() });
        tokio::time::sleep(5 * MS).await;
    }
    calls.join_all().await;

    let hedges = peer.attempts() - 4_000;
    assert!((1..=200).contains(&hedges), "{hedges} hedges of 4000 calls");
}
