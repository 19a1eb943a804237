//! A short overload of a peer that goes on working on what nobody waits for any more.
//!
//! The model: a backend that does 20 calls in a second, one after the other, with room
//! for 256 that wait; whoever comes then is refused. Calls come at an even pace, 8 in a
//! second, 40 for ten seconds, and 8 again. An attempt has 750 ms, and a call three of
//! them. Time is tokio's, paused.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tonic::Code;
use trellis_resilience::Environment;
use trellis_resilience::core::random::Random;
use trellis_resilience::grpc::client::Client;
use trellis_resilience::policy::MethodPolicy;

use crate::peer::{MS, Peer, all, call, client_of, ok, refusal};

const WORK: Duration = Duration::from_millis(50);
const ROOM: u32 = 256;
const ATTEMPT: Duration = Duration::from_millis(750);

/// When the overload begins, when it ends, and when all ends.
const RISE: Duration = Duration::from_secs(5);
const FALL: Duration = Duration::from_secs(15);
const END: Duration = Duration::from_secs(45);

const RECOVERY: Duration = Duration::from_secs(5);

fn backend() -> Peer {
    let free = Arc::new(Mutex::new(Instant::now()));
    Peer::new(move |_| {
        let done = queue(&mut free.lock().unwrap());
        async move {
            let Some(done) = done else { return refusal(Code::Unavailable) };
            tokio::time::sleep_until(done).await;
            ok()
        }
    })
}

/// When the work will be done; `None` if there is no room for it.
fn queue(free: &mut Instant) -> Option<Instant> {
    let now = Instant::now();
    let begin = (*free).max(now);
    (begin - now < WORK * ROOM).then(|| {
        *free = begin + WORK;
        *free
    })
}

/// When each call that failed began.
async fn failures<F>(make_call: impl Fn() -> F) -> Vec<Duration>
where
    F: Future<Output = bool> + Send + 'static,
{
    let (start, mut at) = (Instant::now(), Duration::ZERO);
    let mut calls = JoinSet::new();
    while at < END {
        tokio::time::sleep_until(start + at).await;
        let call = make_call();
        calls.spawn(async move { (!call.await).then_some(at) });
        at += if RISE <= at && at < FALL { Duration::from_secs(1) / 40 } else { 125 * MS };
    }
    calls.join_all().await.into_iter().flatten().collect()
}

#[tokio::test(start_paused = true)]
async fn a_short_overload_is_over_five_seconds_after_its_end() {
    for seed in 0..20 {
        let peer = backend();
        let random = Arc::new(Random::seeded(seed));
        let client = Client::builder("peer")
            .environment(Environment { random, ..Environment::tokio() })
            .policies(all(MethodPolicy::safe().timeout(3 * ATTEMPT).attempt_timeout(ATTEMPT)))
            .over(peer)
            .build()
            .unwrap();
        let failures = failures(|| {
            let client = client.clone();
            async move { call(&client).await.is_ok() }
        })
        .await;
        assert!(failures.iter().any(|at| *at < FALL), "there was no overload");
        let last = failures.into_iter().max().unwrap_or_default();
        assert!(last < FALL + RECOVERY, "seed {seed}: a call failed at {last:?}");
    }
}

/// That it is the model which makes it hard.
#[tokio::test(start_paused = true)]
async fn three_plain_attempts_never_recover_from_it() {
    let once = client_of(&backend(), MethodPolicy::safe().attempts(1));
    let failures = failures(|| {
        let once = once.clone();
        async move {
            for _ in 0..3 {
                if let Ok(Ok(_)) = timeout(ATTEMPT, call(&once)).await {
                    return true;
                }
            }
            false
        }
    })
    .await;
    let late = failures.into_iter().filter(|at| FALL + RECOVERY <= *at).count();
    assert_eq!(late, 200, "eight a second, for 25 seconds");
}
