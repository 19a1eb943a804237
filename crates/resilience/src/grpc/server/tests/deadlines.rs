//! Time that is given, and patience where none is.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::time::{Instant, sleep};
use tonic::Code;
use tonic::body::Body;

use super::service::{PATH, answer, failed, frames, message, metadata, request, server, unary};
use crate::context;
use crate::grpc::server::{HEAD_START, PATIENCE, ServerLayer};

#[tokio::test(start_paused = true)]
async fn a_deadline_is_kept_a_moment_before_the_caller_gives_up() {
    let start = Instant::now();

    let request = request(PATH, &[("grpc-timeout", "7S")]);
    let answer = answer(&server(), request, |_| std::future::pending()).await;

    assert_eq!(metadata(answer).await["grpc-status"], "4");
    assert_eq!(start.elapsed() + HEAD_START, Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn a_short_deadline_loses_at_most_an_eighth_of_itself() {
    let layer = ServerLayer::builder("test").head_start(Duration::from_secs(1)).build().unwrap();
    let start = Instant::now();

    answer(&layer, request(PATH, &[("grpc-timeout", "80m")]), |_| std::future::pending()).await;

    assert_eq!(start.elapsed(), Duration::from_millis(70));
}

#[tokio::test(start_paused = true)]
async fn what_is_left_is_known_to_the_handler() {
    let request = request(PATH, &[("grpc-timeout", "30S")]);

    let answer = answer(&server(), request, |_| async {
        sleep(Duration::from_secs(5)).await;
        let left = context::remaining().unwrap() + HEAD_START;
        failed(if left == Duration::from_secs(25) { Code::Ok } else { Code::Aborted })
    });

    assert_eq!(metadata(answer.await).await["grpc-status"], "0");
}

#[tokio::test(start_paused = true)]
async fn patience_is_not_handed_on() {
    let answer = answer(&server(), request(PATH, &[]), |_| async {
        failed(if context::remaining().is_none() { Code::Ok } else { Code::Aborted })
    });

    assert_eq!(metadata(answer.await).await["grpc-status"], "0");
}

#[tokio::test]
async fn a_timeout_that_makes_no_sense_is_refused() {
    let request = request(PATH, &[("grpc-timeout", "soon")]);

    let answer = answer(&server(), request, |_| async { unreachable!("it is not begun") }).await;

    let metadata = metadata(answer).await;
    assert_eq!(metadata["grpc-status"], "3");
    assert!(metadata["grpc-message"].to_str().unwrap().starts_with("grpc-timeout"));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_without_a_deadline_is_given_up() {
    let start = Instant::now();

    let answer = answer(&server(), request(PATH, &[]), |_| std::future::pending()).await;

    assert_eq!(metadata(answer).await["grpc-status"], "4");
    assert_eq!(start.elapsed(), PATIENCE);
}

/// A message that comes in pieces, each just within everyone's patience.
#[tokio::test(start_paused = true)]
async fn a_slow_upload_is_not_given_up() {
    let pace = PATIENCE * 9 / 10;
    let pieces = stream::iter(0..10).then(move |_| async move {
        sleep(pace).await;
        Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from_static(b"piece")))
    });
    let request = request(PATH, &[]).map(|_| Body::new(StreamBody::new(pieces)));
    let start = Instant::now();

    let answer = answer(&server(), request, |request| async {
        request.into_body().collect().await.unwrap();
        unary(Code::Ok)
    });

    assert_eq!(metadata(answer.await).await["grpc-status"], "0");
    assert_eq!(start.elapsed(), pace * 10);
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_a_deadline_has_no_end() {
    let answer = answer(&server(), request(PATH, &[]), |_| async {
        frames(stream::repeat(()).then(|()| async {
            sleep(Duration::from_mins(1)).await;
            message()
        }))
    });
    let mut body = answer.await.into_body();
    let start = Instant::now();

    for _ in 0..100 {
        body.frame().await.expect("the stream goes on").unwrap();
    }

    assert_eq!(start.elapsed(), Duration::from_mins(100));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_always_has_something_to_say_ends_at_its_deadline() {
    let request = request(PATH, &[("grpc-timeout", "10m")]);
    let answer =
        answer(&server(), request, |_| async { frames(stream::repeat_with(message)) }).await;
    let mut body = answer.into_body();
    let mut messages = 0;

    let status = loop {
        let frame = body.frame().await.unwrap().unwrap();
        match frame.into_trailers() {
            Ok(trailers) => break trailers["grpc-status"].clone(),
            Err(_) => messages += 1,
        }
        tokio::time::advance(Duration::from_millis(1)).await;
    };

    assert_eq!(status, "4");
    assert!(messages <= 12, "{messages}");
    assert!(body.frame().await.is_none());
}
