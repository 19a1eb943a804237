//! What a server says itself, and what it adds.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::service::{
    PATH, answer, failed, frames, message, metadata, request, server, trailers, unary,
};
use crate::Environment;
use crate::context;
use crate::core::limit;
use crate::grpc::server::ServerLayer;
use crate::observe::Recorder;
use crate::policy::{Criticality, MethodPolicy, PolicyTable};

fn counting(recorder: &Recorder) -> Environment {
    Environment { metrics: Arc::new(recorder.clone()), ..Environment::tokio() }
}

/// How often a call of this class was sent away for this cause, and no other was.
fn sheds(recorder: &Recorder, class: &str, cause: &str) -> u64 {
    let labels = [("server", "test"), ("criticality", class), ("cause", cause)];
    let sheds = recorder.counter("resilience_sheds_total", &labels);
    assert_eq!(recorder.counter("resilience_sheds_total", &[]), sheds);
    sheds
}

#[tokio::test(start_paused = true)]
async fn the_overloaded_server_refuses_and_asks_for_no_other_attempt() {
    let recorder = Recorder::default();
    let limits = limit::Settings { initial: 1, min: 1, max: 1, ..limit::Settings::default() };
    let layer = ServerLayer::builder("test").limiter(limits).environment(counting(&recorder));
    let layer = layer.build().unwrap();
    let mut hanging = JoinSet::new();
    for _ in 0..3 {
        hanging.spawn(answer(&layer, request(PATH, &[]), |_| pending()));
    }
    tokio::task::yield_now().await;

    let sheddable = request(PATH, &[("x-resilience-criticality", "sheddable")]);
    let answer = answer(&layer, sheddable, |_| pending()).await;

    let metadata = metadata(answer).await;
    let status = Status::from_header_map(&metadata).unwrap();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.get_details_error_info().unwrap().reason, "OVERLOADED");
    assert_eq!(metadata["grpc-retry-pushback-ms"], "-1");
    assert_eq!(sheds(&recorder, "sheddable", "full"), 1);
    assert_eq!(layer.snapshot().waiting, 2);
    drop(hanging);
}

#[tokio::test(start_paused = true)]
async fn who_asks_after_its_health_is_answered_however_much_there_is_to_do() {
    let limits = limit::Settings { initial: 1, min: 1, max: 1, ..limit::Settings::default() };
    let refuse = |_: &_, _| Err(Duration::from_secs(1));
    let layer = ServerLayer::builder("test").limiter(limits).rate(refuse).build().unwrap();

    let request = request("/grpc.health.v1.Health/Check", &[]);
    let answer = answer(&layer, request, |_| async { unary(Code::Ok) }).await;

    assert_eq!(metadata(answer).await["grpc-status"], "0");
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_again() {
    let recorder = Recorder::default();
    let layer = ServerLayer::builder("test").environment(counting(&recorder));
    let layer = layer.rate(|parts, _| match parts.headers.get("user") {
        Some(_) => Err(Duration::from_millis(1500)),
        None => Ok(()),
    });
    let layer = layer.build().unwrap();

    let refused = answer(&layer, request(PATH, &[("user", "u1")]), |_| async {
        unreachable!("it is not begun")
    });
    let metadata_of_refused = metadata(refused.await).await;
    let other = answer(&layer, request(PATH, &[]), |_| async { unary(Code::Ok) }).await;

    let status = Status::from_header_map(&metadata_of_refused).unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let retry = status.get_details_retry_info().unwrap().retry_delay;
    assert_eq!(retry, Some(Duration::from_millis(1500)));
    assert_eq!(metadata_of_refused["grpc-retry-pushback-ms"], "1500");
    assert_eq!(metadata(other).await["grpc-status"], "0");
    assert_eq!(sheds(&recorder, "critical", "rate"), 1);
}

#[tokio::test]
async fn when_retries_below_are_used_up_the_caller_is_asked_not_to_retry() {
    for answered in [failed, unary] {
        let answer = answer(&server(), request(PATH, &[]), move |_| async move {
            context::mark_exhausted();
            answered(Code::Unavailable)
        });

        let metadata = metadata(answer.await).await;
        assert_eq!(metadata["grpc-status"], "14");
        assert_eq!(metadata["grpc-retry-pushback-ms"], "-1");
    }
}

#[tokio::test]
async fn the_same_holds_for_a_stream_that_fails_later() {
    let late = || frames(stream::iter([message(), message(), trailers(Code::Unavailable)]));
    let answer = answer(&server(), request(PATH, &[]), move |_| async move {
        context::mark_exhausted();
        late()
    });

    assert_eq!(metadata(answer.await).await["grpc-retry-pushback-ms"], "-1");
}

#[tokio::test]
async fn other_answers_say_nothing_about_retries() {
    let other_code = answer(&server(), request(PATH, &[]), |_| async {
        context::mark_exhausted();
        failed(Code::NotFound)
    });
    let not_exhausted =
        answer(&server(), request(PATH, &[]), |_| async { failed(Code::Unavailable) });

    for answer in [other_code.await, not_exhausted.await] {
        assert!(!metadata(answer).await.contains_key("grpc-retry-pushback-ms"));
    }
}

#[tokio::test]
async fn a_call_has_the_criticality_that_it_says_or_else_that_of_its_path() {
    let table = PolicyTable::new(MethodPolicy::default())
        .method(PATH, MethodPolicy::safe().criticality(Criticality::Sheddable));
    let layer = ServerLayer::builder("test").policies(table).build().unwrap();
    let class = [("x-resilience-criticality", "critical-plus")];

    for (request, expected) in [
        (request(PATH, &[]), Criticality::Sheddable),
        (request(PATH, &class), Criticality::CriticalPlus),
        (request("/test.Probe/Other", &[]), Criticality::Critical),
    ] {
        let answer = answer(&layer, request, move |_| async move {
            let inbound = context::inbound().unwrap();
            failed(if inbound.criticality == expected { Code::Ok } else { Code::Aborted })
        });

        assert_eq!(metadata(answer.await).await["grpc-status"], "0", "{expected:?}");
    }
}

#[tokio::test]
async fn what_is_not_grpc_is_left_alone() {
    let mut request = request("/index.html", &[("grpc-timeout", "soon")]);
    request.headers_mut().insert("content-type", "text/html".parse().unwrap());

    let answer = answer(&server(), request, |_| async {
        assert_eq!(context::inbound(), None);
        Response::new(Body::new(http_body_util::Full::new(Bytes::from_static(b"hello"))))
    });

    let answer = answer.await;
    assert_eq!(http_body::Body::size_hint(answer.body()).exact(), Some(5));
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hello");
}

#[tokio::test]
async fn a_panic_answers_those_who_do_not_speak_grpc_as_the_owner_says() {
    let broken = || {
        let mut response = Response::new(Bytes::from_static(b"{}"));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response.headers_mut().insert("content-type", "application/json".parse().unwrap());
        response
    };
    let layer = ServerLayer::builder("test").broken(broken).build().unwrap();
    for (layer, text) in [(server(), ""), (layer, "{}")] {
        let request = http::Request::post("/").body(Body::empty()).unwrap();

        let answer = answer(&layer, request, |_| async { panic!("on purpose") }).await;

        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), text);
    }
}
