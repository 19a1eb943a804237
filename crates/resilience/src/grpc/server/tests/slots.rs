//! How long a call counts as in flight, and what it says when it ends.

use std::future::pending;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use http_body_util::BodyExt as _;
use tokio::time::timeout;
use tonic::Code;
use tower::ServiceExt as _;

use super::service::{
    PATH, answer, failed, frames, kept, message, metadata, request, server, trailers, unary,
};
use crate::grpc::server::ServerLayer;
use crate::policy::{MethodPolicy, PolicyTable};

const MS: Duration = Duration::from_millis(1);

fn inflight(layer: &ServerLayer) -> usize {
    layer.snapshot().limiter.unwrap().inflight
}

#[tokio::test]
async fn a_unary_call_has_ended_when_its_answer_is_known_whoever_reads_it() {
    for answered in [unary, failed] {
        let layer = server();

        let answer = answer(&layer, request(PATH, &[]), move |_| async move { answered(Code::Ok) });

        let answer = answer.await;
        assert_eq!(inflight(&layer), 0);
        assert_eq!(metadata(answer).await["grpc-status"], "0");
    }
}

#[tokio::test]
async fn what_was_read_ahead_is_not_lost() {
    let messages = || stream::iter((0..5).map(|_| message()).chain([trailers(Code::Ok)]));

    let answer = answer(&server(), request(PATH, &[]), move |_| async move { frames(messages()) });

    let body = answer.await.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(body.to_bytes().len(), 5 * 5);
}

#[tokio::test]
async fn a_stream_counts_until_its_end() {
    let layer = server();
    let messages = || stream::iter((0..3).map(|_| message()).chain([trailers(Code::Ok)]));
    let handler = move |_| async move { frames(messages()) };

    let mut body = answer(&layer, request(PATH, &[]), handler).await.into_body();
    assert_eq!(inflight(&layer), 1);
    while body.frame().await.is_some() {}
    assert_eq!(inflight(&layer), 0);

    let body = answer(&layer, request(PATH, &[]), handler).await.into_body();
    assert_eq!(inflight(&layer), 1);
    drop(body);
    assert_eq!(inflight(&layer), 0);
}

#[tokio::test]
async fn a_stream_that_is_named_as_such_counts_until_its_head() {
    let table = PolicyTable::default().method(PATH, MethodPolicy::server_stream());
    let layer = ServerLayer::builder("test").policies(table).build().unwrap();

    let answer = answer(&layer, request(PATH, &[]), |_| async {
        frames(stream::once(async { message() }).chain(stream::pending()))
    });

    let mut body = answer.await.into_body();
    assert_eq!(inflight(&layer), 0);
    assert!(body.frame().await.unwrap().unwrap().is_data());
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_away_leaves_no_trace() {
    let layer = server();

    let call = answer(&layer, request(PATH, &[]), |_| pending());

    assert!(timeout(MS, call).await.is_err());
    assert_eq!(inflight(&layer), 0);
}

#[tokio::test]
async fn a_panic_leaves_no_trace() {
    let layer = server();

    let early = answer(&layer, request(PATH, &[]), |_| async { panic!("on purpose") }).await;
    let late = answer(&layer, request(PATH, &[]), |_| async {
        frames(stream::once(async { panic!("on purpose") }))
    });

    assert_eq!(metadata(early).await["grpc-status"], "13");
    assert_eq!(metadata(late.await).await["grpc-status"], "13");
    assert_eq!(inflight(&layer), 0);
}

#[tokio::test(start_paused = true)]
async fn refusals_are_quick_and_say_nothing_about_the_latency() {
    let layer = server();
    let server = kept(&layer, |request| async move {
        if request.headers().contains_key("refuse") {
            return failed(Code::Unavailable);
        }
        tokio::time::sleep(50 * MS).await;
        unary(Code::Ok)
    });

    for _ in 0..100 {
        for headers in [&[("refuse", "")][..], &[]] {
            server.clone().oneshot(request(PATH, headers)).await.unwrap();
        }
    }

    let latency = layer.snapshot().limiter.unwrap().latency.unwrap();
    assert!((0.045..0.055).contains(&latency), "{latency}");
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_all_come_in_at_once() {
    let layer = ServerLayer::builder("test").unlimited().build().unwrap();
    let server = kept(&layer, |_| async {
        tokio::time::sleep(MS).await;
        unary(Code::Ok)
    });
    let start = tokio::time::Instant::now();

    let calls = (0..1000).map(|_| server.clone().oneshot(request(PATH, &[])));
    futures::future::join_all(calls).await;

    assert_eq!(start.elapsed(), MS);
    assert_eq!(layer.snapshot().limiter, None);
}
