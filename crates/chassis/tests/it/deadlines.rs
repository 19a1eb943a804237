//! No call outlives its deadline, on either road.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http_body_util::BodyExt as _;
use http_body_util::StreamBody;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tonic::Code;
use tower::ServiceExt as _;
use trellis_api::error::reason;
use trellis_api::recommendation::v1::{AuditRecommendationsRequest, RecommendRequest};
use trellis_chassis::transport::{Edge, Roads};
use trellis_chassis::{deadline, transport};
use trellis_resilience::policy::{MethodPolicy, PolicyTable};

use crate::probe::{Client, Probe, ask, client, said, within};

const SHORT: Duration = Duration::from_millis(50);

fn hang(timeout: Duration) -> tonic::Request<RecommendRequest> {
    within(timeout, ask(&["hang"]).into_inner())
}

#[tokio::test]
async fn a_handler_that_never_answers_ends_at_the_deadline() {
    for mut probe in [Probe::default().local(), Probe::default().remote().await] {
        let status = probe.recommend(hang(SHORT)).await.unwrap_err();

        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(reason(&status).as_deref(), Some("DEADLINE_EXCEEDED"));
    }
}

#[tokio::test]
async fn a_stream_ends_at_the_deadline() {
    for mut probe in [Probe::default().local(), Probe::default().remote().await] {
        let request = within(SHORT, AuditRecommendationsRequest::default());
        let mut stream = probe.audit_recommendations(request).await.unwrap().into_inner();

        let status = stream.message().await.unwrap_err();

        assert_eq!(status.code(), Code::DeadlineExceeded);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_a_deadline_has_no_end() {
    let stream_for_long =
        MethodPolicy { idle_timeout: Duration::from_mins(2), ..MethodPolicy::server_stream() };
    let edge = Edge::new("probe", PolicyTable::new(stream_for_long));
    let mut probe = Client::new(Roads::new().local(&edge, Probe::default().routes()));
    let stream = probe.audit_recommendations(AuditRecommendationsRequest::default()).await;
    let mut stream = stream.unwrap().into_inner();
    let start = Instant::now();

    for _ in 0..10 {
        stream.message().await.unwrap().expect("the stream goes on");
    }

    assert_eq!(start.elapsed().as_secs(), 600);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_deadline_is_given_up() {
    let start = Instant::now();

    let status = Probe::default().local().recommend(ask(&["hang"])).await.unwrap_err();

    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(start.elapsed().as_secs(), deadline::CLIENT_PATIENCE.as_secs());
}

#[tokio::test]
async fn a_peer_that_says_nothing_cannot_hold_a_call() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut probe = client(silent.local_addr().unwrap());

    let status = probe.recommend(hang(SHORT)).await.unwrap_err();

    assert_eq!(status.code(), Code::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_is_handed_on() {
    let next = Probe::default().local();
    let mut probe = Probe { next: Some(next), ..Probe::default() }.local();
    let request = within(Duration::from_secs(30), ask(&["relay", "left"]).into_inner());

    let left = said(probe.recommend(request).await.unwrap());

    assert_eq!(left, "Some(25.0)");
}

#[tokio::test(start_paused = true)]
async fn patience_is_not_handed_on() {
    let next = Probe::default().local();
    let mut probe = Probe { next: Some(next), ..Probe::default() }.local();

    let left = said(probe.recommend(ask(&["relay", "left"])).await.unwrap());

    assert_eq!(left, "None");
}

#[tokio::test(start_paused = true)]
async fn the_earlier_deadline_holds() {
    let next = Probe::default().local();
    let next = Probe { next: Some(next), ..Probe::default() }.local();
    let mut probe = Probe { next: Some(next), ..Probe::default() }.local();
    let start = Instant::now();
    let timeout = Duration::from_secs(7);
    let request = within(timeout, ask(&["relay", "relay", "hang"]).into_inner());

    let status = probe.recommend(request).await.unwrap_err();

    assert_eq!(status.code(), Code::DeadlineExceeded);
    // Each hop keeps a few milliseconds for its answer's way back.
    let elapsed = start.elapsed();
    assert!(timeout.mul_f64(0.99) < elapsed && elapsed <= timeout, "{elapsed:?}");
}

#[tokio::test]
async fn when_nothing_is_left_the_peer_is_not_asked() {
    let probe = Probe::default();
    let calls = probe.calls.clone();

    let status = probe.local().recommend(hang(Duration::ZERO)).await.unwrap_err();

    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(calls.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_deadline_that_makes_no_sense_is_refused() {
    let mut request = ask(&["left"]);
    request.metadata_mut().insert("grpc-timeout", "soon".parse().unwrap());

    let status = Probe::default().local().recommend(request).await.unwrap_err();

    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(reason(&status).as_deref(), Some("INVALID_FIELD"));
}

/// A message that comes in pieces, each just within everyone's patience.
#[tokio::test(start_paused = true)]
async fn a_slow_upload_is_not_given_up() {
    let mut message = BytesMut::new();
    let request = ask(&["left"]).into_inner();
    message.put_u8(0);
    message.put_u32(u32::try_from(request.encoded_len()).unwrap());
    request.encode(&mut message).unwrap();
    let pieces: Vec<Bytes> = message.chunks(1).map(Bytes::copy_from_slice).collect();
    let count = u32::try_from(pieces.len()).unwrap();
    let pace = deadline::CLIENT_PATIENCE * 9 / 10;
    let body =
        StreamBody::new(futures::stream::unfold(pieces.into_iter(), move |mut rest| async move {
            tokio::time::sleep(pace).await;
            let piece = rest.next()?;
            Some((Ok::<_, tonic::Status>(http_body::Frame::data(piece)), rest))
        }));
    let request = http::Request::post("/trellis.recommendation.v1.RecommendationService/Recommend")
        .header("content-type", "application/grpc")
        .body(tonic::body::Body::new(body.boxed_unsync()))
        .unwrap();
    let start = Instant::now();

    let response = transport::local(Probe::default().routes()).oneshot(request).await.unwrap();

    assert!(!response.headers().contains_key("grpc-status"), "{response:?}");
    assert!(pace * count <= start.elapsed());
}
