//! What a fleet counts.

use std::future::ready;

use tonic::Code;
use trellis_resilience::grpc::client::Client;
use trellis_resilience::net::fleet::Fleet;
use trellis_resilience::observe::Recorder;
use trellis_resilience::policy::MethodPolicy;

use super::watched;
use crate::backend::{Backend, refusal, reply};
use crate::peer::{all, call, only_retries};

/// Calls a fleet of which `sick` instances of `all` refuse, until it is as `wanted`.
async fn until(sick: usize, of: usize, wanted: impl Fn(&Recorder) -> bool) -> Recorder {
    let (registry, recorder) = watched();
    let mut backends = Vec::new();
    for number in 0..of {
        let refuses = number < sick;
        let answer = move |_| {
            let refusal = || refusal(Code::Unavailable, "not today");
            ready(if refuses { refusal() } else { reply(b"world") })
        };
        backends.push(Backend::start(answer).await);
    }
    let fleet = Fleet::builder("stock")
        .addresses(backends.iter().map(Backend::address))
        .environment(registry.environment().clone());
    let client = only_retries(Client::builder("stock"))
        .policies(all(MethodPolicy::default()))
        .registry(&registry)
        .fleet(fleet.build().unwrap())
        .build()
        .unwrap();

    for _ in 0..10_000 {
        if wanted(&recorder) {
            registry.publish();
            return recorder;
        }
        let _ = call(&client).await;
    }
    panic!("not after so many calls: {:#}", recorder.snapshot());
}

/// Metric `resilience_ejections_total`.
/// Metric `resilience_endpoints`.
#[tokio::test]
async fn an_endpoint_that_is_left_out_counts_with_the_cause_and_shows_as_such() {
    let labels = [("target", "stock"), ("cause", "consecutive")];
    let ejected = |recorder: &Recorder| recorder.counter("resilience_ejections_total", &labels);

    let recorder = until(1, 2, |recorder| ejected(recorder) == 1).await;

    let endpoints =
        |state| recorder.gauge("resilience_endpoints", &[("target", "stock"), ("state", state)]);
    assert_eq!((endpoints("healthy"), endpoints("ejected")), (Some(1.0), Some(1.0)));
}

/// Metric `resilience_panic_mode_total`.
#[tokio::test]
async fn that_too_few_are_healthy_to_leave_any_out_is_counted() {
    let labels = [("target", "stock")];
    let panics = |recorder: &Recorder| recorder.counter("resilience_panic_mode_total", &labels);

    until(2, 3, |recorder| panics(recorder) == 1).await;
}
