//! What a server counts.

use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response};
use tokio::task::{JoinSet, yield_now};
use tonic::body::Body;
use tower::{Layer as _, ServiceExt as _};
use trellis_resilience::core::limit;
use trellis_resilience::grpc::server::ServerLayer;
use trellis_resilience::registry::Registry;

use super::watched;
use crate::peer::{MS, ok};

/// Lets one call in at a time, of which each takes 100 ms.
fn layer(registry: &Registry) -> ServerLayer {
    let one = limit::Settings { initial: 1, min: 1, max: 1, ..limit::Settings::default() };
    ServerLayer::builder("stock").limiter(one).registry(registry).build().unwrap()
}

fn request(headers: &[(&str, &str)]) -> Request<Body> {
    let mut request =
        Request::post("http://stock/shop.Stock/Get").header("content-type", "application/grpc");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

async fn call(layer: ServerLayer, request: Request<Body>) {
    let handler = tower::service_fn(async |_| {
        tokio::time::sleep(100 * MS).await;
        Ok::<Response<Body>, Infallible>(ok().unwrap())
    });
    let Ok(answer) = layer.layer(handler).oneshot(request).await;
    drop(answer);
}

/// As many calls at once, which are in or wait.
async fn crowd(layer: &ServerLayer, calls: usize) -> JoinSet<()> {
    let mut crowd = JoinSet::new();
    for _ in 0..calls {
        crowd.spawn(call(layer.clone(), request(&[])));
    }
    yield_now().await;
    crowd
}

/// Metric `resilience_sheds_total`.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_sent_away_counts_with_its_class_and_the_cause() {
    let (registry, recorder) = watched();
    let layer = layer(&registry);
    let crowd = crowd(&layer, 3).await;

    call(layer, request(&[("x-resilience-criticality", "sheddable")])).await;

    let labels = [("server", "stock"), ("criticality", "sheddable"), ("cause", "full")];
    assert_eq!(recorder.counter("resilience_sheds_total", &labels), 1);
    assert_eq!(recorder.counter("resilience_sheds_total", &[]), 1);
    drop(crowd);
}

/// Metric `resilience_limit`.
/// Metric `resilience_inflight`.
/// Metric `resilience_queue_depth`.
#[tokio::test(start_paused = true)]
async fn a_server_shows_its_limit_who_is_in_and_who_waits() {
    let (registry, recorder) = watched();
    let layer = layer(&registry);
    let shown = || {
        registry.publish();
        let gauge = |name| recorder.gauge(name, &[("server", "stock")]).unwrap();
        ["resilience_limit", "resilience_inflight", "resilience_queue_depth"].map(gauge)
    };

    let before = shown();
    let crowd = crowd(&layer, 3).await;
    let full = shown();
    crowd.join_all().await;

    assert_eq!((before, full, shown()), ([1.0, 0.0, 0.0], [1.0, 1.0, 2.0], [1.0, 0.0, 0.0]));
}

/// Metric `resilience_queue_sojourn_seconds`.
#[tokio::test(start_paused = true)]
async fn how_long_a_call_waited_is_known_once_it_goes_on() {
    let (registry, recorder) = watched();
    let layer = layer(&registry);

    crowd(&layer, 2).await.join_all().await;

    let waited = recorder.histogram("resilience_queue_sojourn_seconds", &[("server", "stock")]);
    let mean = waited.mean().map(Duration::from_secs_f64);
    assert_eq!((waited.count, mean), (1, Some(100 * MS)));
}

/// Metric `resilience_deadline_remaining_at_arrival_seconds`.
#[tokio::test(start_paused = true)]
async fn the_time_that_a_call_comes_with_is_known() {
    let (registry, recorder) = watched();
    let layer = layer(&registry);

    call(layer.clone(), request(&[("grpc-timeout", "250m")])).await;
    call(layer, request(&[])).await;

    let name = "resilience_deadline_remaining_at_arrival_seconds";
    let found = recorder.histogram(name, &[("server", "stock")]);
    assert_eq!((found.count, found.sum), (1, 0.25));
}
