//! Services that call one another.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer as _, Service, service_fn};
use trellis_resilience::grpc::client::{Client, Peer as Peered};
use trellis_resilience::grpc::server::ServerLayer;
use trellis_resilience::policy::MethodPolicy;

use crate::peer::{MS, Peer, all, call, client_of, ok, only_retries, refusal};

/// A service that passes every call on, and the answer back.
fn hop<P: Peered>(
    name: &str,
    below: Client<P>,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
+ Clone
+ Send
+ Sync
+ 'static {
    let handler = service_fn(move |_: Request<_>| {
        let below = below.clone();
        async move {
            let answer = call(&below).await;
            let answer = answer.map_or_else(Status::into_http, |_| ok().expect("it is one"));
            Ok::<Response<Body>, Infallible>(answer)
        }
    });
    let server = ServerLayer::builder(name).build().expect("the defaults are good").layer(handler);
    tower::ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(Body::new))
        .service(server)
}

fn client_over<S>(service: S) -> Client<impl Peered>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    only_retries(Client::builder("hop"))
        .policies(all(MethodPolicy::idempotent()))
        .over(service)
        .build()
        .expect("the settings are good")
}

/// Behaviour 20.
#[tokio::test(start_paused = true)]
async fn three_hops_that_retry_do_not_multiply_the_load_of_a_leaf_that_is_down() {
    let leaf = Peer::at_once(|_| refusal(Code::Unavailable));
    let third = client_of(&leaf, MethodPolicy::idempotent());
    let second = client_over(hop("second", third));
    let first = client_over(hop("first", second));
    let failed = Arc::new(AtomicU64::new(0));
    let mut calls = tokio::task::JoinSet::new();

    for _ in 0..2_000 {
        let (first, failed) = (first.clone(), Arc::clone(&failed));
        calls.spawn(async move {
            let status = call(&first).await.expect_err("the leaf is down");
            assert_eq!(status.code(), Code::Unavailable);
            failed.fetch_add(1, Ordering::Relaxed);
        });
        tokio::time::sleep(5 * MS).await;
    }
    calls.join_all().await;

    assert_eq!(failed.load(Ordering::Relaxed), 2_000);
    let load = leaf.attempts();
    assert!((2_100..=2_600).contains(&load), "{load} attempts for 2000 calls");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_shrinks_from_hop_to_hop() {
    let leaf = Peer::new(async |_| {
        tokio::time::sleep(Duration::from_mins(1)).await;
        ok()
    });
    let third = client_of(&leaf, MethodPolicy::default().timeout(Duration::from_secs(8)));
    let second = client_over(hop("second", third));
    let first = client_over(hop("first", second));
    let began = tokio::time::Instant::now();

    let status = call(&first).await.expect_err("it takes too long");

    assert_eq!(status.code(), Code::DeadlineExceeded);
    // Two attempts of half a second, of which the second begins after a wait.
    assert!(began.elapsed() <= 1000 * MS, "{:?}", began.elapsed());
    assert_eq!(leaf.running(), 0, "nobody works on it any more");
}
