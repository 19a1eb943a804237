//! The client over the instances of a fleet, by real connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, pending};
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::time::Instant;
use tonic::Code;
use tonic::body::Body;
use trellis_resilience::core::outcome::FailureKind;
use trellis_resilience::grpc::client::{Client, Peer};
use trellis_resilience::grpc::status::Local;
use trellis_resilience::net::SendError;
use trellis_resilience::net::connect::{Connect, Connection};
use trellis_resilience::net::fleet::Fleet;
use trellis_resilience::policy::{Hedge, MethodPolicy};

use crate::backend::{Backend, refusal, reply, whole};
use crate::peer::{MS, all, call, only_retries};

fn fleet(addresses: impl IntoIterator<Item = SocketAddr>) -> Fleet {
    Fleet::builder("stock").addresses(addresses).build().expect("the settings are good")
}

fn client(fleet: Fleet, policy: MethodPolicy) -> Client<Fleet> {
    only_retries(Client::builder("stock"))
        .policies(all(policy))
        .fleet(fleet)
        .build()
        .expect("the settings are good")
}

async fn answer(request: Request<Incoming>) -> Response<Body> {
    whole(request.into_body()).await.expect("the request is whole");
    reply(b"world")
}

async fn refuse(request: Request<Incoming>) -> Response<Body> {
    whole(request.into_body()).await.expect("the request is whole");
    refusal(Code::Unavailable, "not today")
}

/// The addresses are found on another thread at any moment of the call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_comes_before_the_addresses_waits_for_them_and_no_longer() {
    let backend = Backend::start(answer).await;
    let target = format!("http://{}", backend.address());
    for number in 0..300 {
        let peers = Fleet::builder("stock").peers(target.parse().expect("it is a target"));
        let fleet = peers.build().expect("the settings are good");
        let client = client(fleet, MethodPolicy::default().attempts(1).fail_fast());
        let answered = tokio::time::timeout(Duration::from_secs(5), call(&client)).await;
        let answered = answered.unwrap_or_else(|_| panic!("call {number} hangs"));
        assert!(answered.is_ok(), "call {number}: {answered:?}");
    }
}

#[tokio::test]
async fn who_waits_for_addresses_that_are_known_does_not_wait() {
    let known = fleet(["127.0.0.1:1".parse().expect("it is an address")]);
    assert!(Peer::changed(&known, None).now_or_never().is_some());
}

/// Behaviour 29.
#[tokio::test]
async fn the_second_attempt_goes_to_another_endpoint() {
    let well = Backend::start(answer).await;
    let sick = Backend::start(refuse).await;
    let client = client(fleet([well.address(), sick.address()]), MethodPolicy::idempotent());

    for n in 0..50 {
        let answer = call(&client).await;
        assert!(answer.is_ok(), "call {n}: {answer:?}");
    }

    assert_eq!(well.requests(), 50);
    assert!(sick.requests() > 0, "it was asked first at least once");
}

/// Behaviour 38.
#[tokio::test]
async fn a_connection_that_dies_under_a_call_is_known_as_such() {
    let reached = Arc::new(tokio::sync::Notify::new());
    let reaching = Arc::clone(&reached);
    let backend = Backend::start(move |_| {
        reaching.notify_one();
        pending::<Response<Body>>()
    })
    .await;
    let client = client(fleet([backend.address()]), MethodPolicy::default());

    let (answer, ()) = tokio::join!(call(&client), async {
        reached.notified().await;
        backend.kill().await;
    });

    let status = answer.unwrap_err();
    let lost = std::error::Error::source(&status).unwrap().downcast_ref::<SendError>().unwrap();
    assert_eq!((status.code(), lost.kind), (Code::Unavailable, FailureKind::ConnectionLost));
    assert_eq!(client.snapshot().breaker.window.failures, 1);
}

/// Never gets through.
#[derive(Debug)]
struct Nowhere;

impl Connect for Nowhere {
    fn connect(&self, _: SocketAddr) -> BoxFuture<'_, io::Result<Connection>> {
        pending().boxed()
    }
}

/// Behaviour 35.
#[tokio::test(start_paused = true)]
async fn a_connection_that_never_comes_ends_at_the_deadline() {
    let address: SocketAddr = "192.0.2.1:1".parse().unwrap();
    let fleet =
        Fleet::builder("stock").addresses([address]).connect(Arc::new(Nowhere)).build().unwrap();
    for policy in [MethodPolicy::default(), MethodPolicy::safe()] {
        let client = client(fleet.clone(), policy.timeout(2_000 * MS));
        let began = Instant::now();

        let status = call(&client).await.unwrap_err();

        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(began.elapsed(), 2_000 * MS);
        assert_eq!(client.snapshot().inflight, 0);
    }
}

/// Behaviour 35.
#[tokio::test(start_paused = true)]
async fn a_fleet_of_nobody_ends_at_the_deadline_or_at_once_if_so_wished() {
    let nobody = fleet([]);
    let began = Instant::now();

    let patient = client(nobody.clone(), MethodPolicy::default());
    let status = call(&patient).await.unwrap_err();
    assert_eq!((status.code(), began.elapsed()), (Code::DeadlineExceeded, 1_000 * MS));

    let hasty = client(nobody, MethodPolicy::default().fail_fast());
    let status = call(&hasty).await.unwrap_err();
    assert_eq!(Local::of(&status), Some(Local::NoEndpoints));
    assert_eq!((status.code(), began.elapsed()), (Code::Unavailable, 1_000 * MS));
}

/// A server that is down for half a second on its own port.
async fn restarted(backend: Backend) -> Backend {
    let address = backend.address();
    backend.stop().await;
    tokio::time::sleep(500 * MS).await;
    Backend::start_at(address, answer).await
}

#[tokio::test]
async fn a_single_instance_that_is_restarted_fails_no_call() {
    let backend = Backend::start(answer).await;
    let fleet = fleet([backend.address()]);
    let policies = [MethodPolicy::default(), MethodPolicy::idempotent()];
    let clients =
        policies.map(|policy| client(fleet.clone(), policy.timeout(Duration::from_secs(10))));
    let ended = Arc::new(AtomicUsize::new(0));
    let callers = (0..16).map(|n| {
        let (client, ended) = (clients[n % 2].clone(), Arc::clone(&ended));
        async move {
            let mut calls = 0;
            while ended.load(Ordering::Relaxed) == 0 {
                call(&client).await.unwrap();
                calls += 1;
                tokio::time::sleep(5 * MS).await;
            }
            calls
        }
    });
    let restarts = async {
        let mut backend = backend;
        for _ in 0..2 {
            tokio::time::sleep(200 * MS).await;
            backend = restarted(backend).await;
        }
        tokio::time::sleep(200 * MS).await;
        ended.store(1, Ordering::Relaxed);
        backend
    };

    let (calls, backend) = tokio::join!(futures::future::join_all(callers), restarts);

    assert!(calls.iter().all(|calls| *calls > 0), "{calls:?}");
    assert!(backend.requests() > 0);
}

/// Behaviour 31.
#[tokio::test]
async fn the_handler_of_the_loser_is_cancelled() {
    struct Handling(Arc<AtomicUsize>);
    impl Drop for Handling {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let handled = Arc::clone(&dropped);
    let stuck = Backend::start(move |_| {
        let handling = Handling(Arc::clone(&handled));
        async move {
            let _handling = handling;
            pending::<Response<Body>>().await
        }
    })
    .await;
    let well = Backend::start(answer).await;
    let policy = MethodPolicy::safe().hedge(Hedge::After(20 * MS)).timeout(600 * MS);
    let client = client(fleet([stuck.address(), well.address()]), policy);

    for _ in 0..200 {
        call(&client).await.unwrap();
    }

    assert!(stuck.requests() > 0, "it was chosen at least once");
    let mut left = 500;
    while dropped.load(Ordering::SeqCst) < stuck.requests() {
        left -= 1;
        assert!(left > 0, "a handler goes on");
        tokio::task::yield_now().await;
        tokio::time::sleep(MS).await;
    }
}
