//! A server that is asked for three times what it can do.
//!
//! The model: a backend with 50 workers, each of which takes 20 to 80 ms for a call, so
//! that it can do 1000 calls in a second, and a queue without bound before them. What
//! was begun is worked on even if nobody waits for it any more. Clients call at random
//! moments, whatever happened to their calls before, give each call 500 ms, and try up to
//! three times if they are not told to stop. Time is tokio's, paused.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::body::Body;
use tower::{Layer as _, Service, ServiceExt as _};
use trellis_resilience::Environment;
use trellis_resilience::core::random::Random;
use trellis_resilience::grpc::server::{Server, ServerLayer, Watched};

const WORKERS: usize = 50;
const CAPACITY: f64 = 1000.0;
const TIMEOUT: Duration = Duration::from_millis(500);
/// Whoever is refused should know soon enough to go elsewhere.
const UNTIL_REFUSED: Duration = Duration::from_millis(250);
const RECOVERY: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Backend {
    free: Arc<Mutex<BinaryHeap<Reverse<Instant>>>>,
    random: Arc<Random>,
}

impl Backend {
    fn new() -> Self {
        let free = (0..WORKERS).map(|_| Reverse(Instant::now())).collect();
        Self { free: Arc::new(Mutex::new(free)), random: Arc::new(Random::seeded(7)) }
    }

    /// When the next free worker will be done with it.
    fn begin(&self) -> Instant {
        let time = self.random.between(Duration::from_millis(20), Duration::from_millis(80));
        let mut free = self.free.lock().unwrap();
        let Reverse(worker) = free.pop().unwrap();
        let done = worker.max(Instant::now()) + time;
        free.push(Reverse(done));
        done
    }
}

impl Service<Request<Watched<Body>>> for Backend {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Watched<Body>>) -> Self::Future {
        let backend = self.clone();
        Box::pin(async move {
            tokio::time::sleep_until(backend.begin()).await;
            let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), 0.into())]);
            let frame =
                futures::stream::iter([Ok::<_, Infallible>(http_body::Frame::trailers(trailers))]);
            Ok(Response::new(Body::new(http_body_util::StreamBody::new(frame))))
        })
    }
}

/// What became of one call, over all of its attempts.
struct Outcome {
    is_critical: bool,
    began: Instant,
    ended: Instant,
    is_ok: bool,
    /// Of the attempt that succeeded.
    latency: Duration,
}

async fn call(server: Server<Backend>, is_critical: bool) -> Outcome {
    let began = Instant::now();
    let (mut is_ok, mut latency) = (false, Duration::ZERO);
    for _ in 0..3 {
        let attempt = Instant::now();
        let headers = attempt_once(server.clone(), is_critical).await;
        (is_ok, latency) = (headers["grpc-status"] == "0", attempt.elapsed());
        if is_ok || headers.get("grpc-retry-pushback-ms").is_some_and(|wait| wait == "-1") {
            break;
        }
    }
    Outcome { is_critical, began, ended: Instant::now(), is_ok, latency }
}

/// The headers and the trailers of the answer.
async fn attempt_once(server: Server<Backend>, is_critical: bool) -> HeaderMap {
    let request = Request::post("/shop.Shop/Buy")
        .header("content-type", "application/grpc")
        .header("grpc-timeout", format!("{}m", TIMEOUT.as_millis()))
        .header("x-resilience-criticality", if is_critical { "critical" } else { "sheddable" })
        .body(Body::empty())
        .unwrap();
    let Ok(response) = server.oneshot(request).await;
    let (head, body) = response.into_parts();
    let mut headers = head.headers;
    if let Some(trailers) = body.collect().await.unwrap().trailers() {
        headers.extend(trailers.clone());
    }
    headers
}

/// Offers so many times the capacity.
async fn offer(
    server: &Server<Backend>,
    times: f64,
    seconds: u64,
    random: &Random,
) -> Vec<Outcome> {
    let mut calls = JoinSet::new();
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut next = Instant::now();
    let mut outcomes = Vec::new();
    while next < end {
        tokio::time::sleep_until(next).await;
        calls.spawn(call(server.clone(), random.chance(0.25)));
        while let Some(outcome) = calls.try_join_next() {
            outcomes.push(outcome.unwrap());
        }
        let gap = -(1.0 - random.unit()).ln() / (times * CAPACITY);
        next += Duration::from_secs_f64(gap);
    }
    outcomes.extend(calls.join_all().await);
    outcomes
}

fn p99(outcomes: &[Outcome]) -> Duration {
    let ok = outcomes.iter().filter(|outcome| outcome.is_ok);
    let mut latencies: Vec<_> = ok.map(|outcome| outcome.latency).collect();
    latencies.sort_unstable();
    latencies[latencies.len() * 99 / 100]
}

fn count(outcomes: &[Outcome], which: impl Fn(&Outcome) -> bool) -> f64 {
    f64::from(u32::try_from(outcomes.iter().filter(|outcome| which(outcome)).count()).unwrap())
}

/// Goodput is what succeeded in time, per second. The unloaded latency is that at a third
/// of the capacity, through the same server; admitted are the attempts that succeeded.
/// All of the overload counts, from its first moment on. A quarter of the calls is
/// critical, so that they alone could be done.
///
/// Behaviour 46.
#[tokio::test(start_paused = true)]
async fn three_times_too_much_is_answered_as_well_as_can_be() {
    let environment = Environment { random: Arc::new(Random::seeded(46)), ..Environment::tokio() };
    let layer = ServerLayer::builder("test").environment(environment).build().unwrap();
    let server = layer.layer(Backend::new());
    let random = Random::seeded(3);
    offer(&server, 0.33, 5, &random).await;
    let unloaded = p99(&offer(&server, 0.33, 5, &random).await);
    offer(&server, 0.9, 10, &random).await;

    let start = Instant::now();
    let seen = offer(&server, 3.0, 10, &random).await;
    let goodput = count(&seen, |call| call.is_ok) / start.elapsed().as_secs_f64();
    let fall = Instant::now();
    let after = offer(&server, 0.8, 10, &random).await;

    assert!(0.9 * CAPACITY <= goodput, "{goodput}");
    assert!(p99(&seen) <= 2 * unloaded, "{:?} and {unloaded:?} unloaded", p99(&seen));
    let lost = |is_critical| {
        let of_class = |call: &Outcome| call.is_critical == is_critical;
        count(&seen, |call| of_class(call) && !call.is_ok) / count(&seen, of_class)
    };
    assert!(lost(true) <= 0.002, "{} of the critical calls were lost", lost(true));
    assert!(0.8 <= lost(false), "only {} of the sheddable calls were lost", lost(false));
    let late = |call: &Outcome| !call.is_ok && UNTIL_REFUSED < call.ended - call.began;
    assert!(count(&seen, late) <= 0.01 * count(&seen, |_| true), "refused too late");

    let failures = after.iter().filter(|call| !call.is_ok).map(|call| call.ended - fall);
    let time = failures.max().unwrap_or_default();
    assert!(time < RECOVERY, "a failure after {time:?}");
    let healthy: Vec<_> = after.into_iter().filter(|call| RECOVERY <= call.began - fall).collect();
    assert!(p99(&healthy) <= unloaded + unloaded / 10, "{:?} afterwards", p99(&healthy));
    let snapshot = layer.snapshot();
    assert_eq!((snapshot.waiting, snapshot.limiter.unwrap().inflight), (0, 0));
}
