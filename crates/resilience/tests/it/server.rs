//! What the server promises, seen from the other end of a connection.

use std::sync::atomic::Ordering;

use tonic::Status;
use tonic_types::StatusExt as _;
use trellis_resilience::grpc::server::ServerLayer;

use crate::serving::{Answer, Probe, Serving};

/// The same on both servers.
async fn on_both(layer: &ServerLayer, probe: &Probe) -> [Serving; 2] {
    [Serving::hyper(layer, probe.clone()).await, Serving::tonic(layer, probe.clone()).await]
}

fn layer() -> ServerLayer {
    ServerLayer::builder("test").build().unwrap()
}

fn reason(answer: &Answer) -> String {
    let status = Status::from_header_map(&answer.metadata).unwrap();
    status.get_details_error_info().unwrap().reason
}

/// Behaviour 37.
#[tokio::test]
async fn a_call_whose_time_is_over_is_not_begun() {
    let (layer, probe) = (layer(), Probe::default());
    for mut serving in on_both(&layer, &probe).await {
        let answer = serving.call("Ok", &[("grpc-timeout", "0n")]).await;

        assert_eq!((answer.code(), reason(&answer).as_str()), ("4", "DEADLINE_EXCEEDED"));
        assert_eq!(probe.calls.load(Ordering::Relaxed), 0);
    }
}

/// Behaviour 37.
#[tokio::test]
async fn a_handler_that_takes_too_long_is_dropped_and_the_caller_gets_4_and_not_1() {
    for _ in 0..10 {
        let (layer, probe) = (layer(), Probe::default());
        for (calls, mut serving) in (1..).zip(on_both(&layer, &probe).await) {
            let answer = serving.call("Hang", &[("grpc-timeout", "20m")]).await;

            assert_eq!((answer.code(), reason(&answer).as_str()), ("4", "DEADLINE_EXCEEDED"));
            assert_eq!(probe.calls.load(Ordering::Relaxed), calls);
            assert_eq!(probe.ended.load(Ordering::Relaxed), calls);
            assert_eq!(layer.snapshot().limiter.unwrap().inflight, 0);
        }
    }
}

/// Behaviour 37.
#[tokio::test]
async fn a_stream_that_takes_too_long_is_dropped_and_ends_with_4() {
    let (layer, probe) = (layer(), Probe::default());
    for (calls, mut serving) in (1..).zip(on_both(&layer, &probe).await) {
        let answer = serving.call("Stall", &[("grpc-timeout", "50m")]).await;

        assert_eq!((answer.code(), answer.has_trailers), ("4", true));
        assert_eq!(reason(&answer), "DEADLINE_EXCEEDED");
        assert_eq!(probe.ended.load(Ordering::Relaxed), calls);
        assert_eq!(layer.snapshot().limiter.unwrap().inflight, 0);
    }
}

/// Behaviour 38.
#[tokio::test]
async fn a_handler_that_panics_is_answered_with_internal() {
    let (layer, probe) = (layer(), Probe::default());
    for mut serving in on_both(&layer, &probe).await {
        let answer = serving.call("Panic", &[]).await;

        assert_eq!((answer.code(), reason(&answer).as_str()), ("13", "INTERNAL"));
        assert_eq!(answer.metadata["grpc-message"], "internal%20error");
        assert_eq!(layer.snapshot().limiter.unwrap().inflight, 0);
        assert_eq!(serving.call("Ok", &[]).await.code(), "0", "the connection lives");
    }
}

/// Behaviour 38.
#[tokio::test]
async fn a_stream_that_panics_ends_with_internal() {
    let (layer, probe) = (layer(), Probe::default());
    for mut serving in on_both(&layer, &probe).await {
        let answer = serving.call("PanicLater", &[]).await;

        assert_eq!((answer.code(), answer.has_trailers), ("13", true));
        assert_eq!(reason(&answer), "INTERNAL");
        assert_eq!(layer.snapshot().limiter.unwrap().inflight, 0);
        assert_eq!(serving.call("Ok", &[]).await.code(), "0", "the connection lives");
    }
}
