//! Streams: who sends, who is silent, and for how long.

use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::ServiceExt as _;
use trellis_resilience::policy::{Kind, MethodPolicy};

use crate::peer::{
    MS, Peer, Piece, call, client_of, framed, ok, request, request_with, send, streamed, trailers,
};

/// A response that never comes to its end.
pub(crate) fn stalling() -> Response<Body> {
    let pieces = stream::iter([Ok(Frame::data(framed(b"one")))]).chain(stream::pending::<Piece>());
    streaming(pieces)
}

fn streaming(pieces: impl Stream<Item = Piece> + Send + 'static) -> Response<Body> {
    let mut response = streamed([]);
    *response.body_mut() = Body::new(StreamBody::new(Box::pin(pieces)));
    response
}

/// So many pieces, so far apart, and then the end.
fn paced(count: usize, gap: Duration) -> impl Stream<Item = Piece> + Send + 'static {
    let piece = move |_| tokio::time::sleep(gap).map(|()| Ok(Frame::data(framed(b"piece"))));
    stream::iter(0..count).then(piece).chain(stream::iter([trailers(Code::Ok)]))
}

fn server_stream(idle: Duration) -> MethodPolicy {
    MethodPolicy { idle_timeout: idle, ..MethodPolicy::server_stream() }
}

/// Behaviour 36.
#[tokio::test(start_paused = true)]
async fn a_stream_that_stalls_is_ended_after_its_longest_silence() {
    let peer = Peer::at_once(|_| Ok(stalling()));
    let client = client_of(&peer, server_stream(3000 * MS));
    let began = Instant::now();

    let status = call(&client).await.unwrap_err();

    assert_eq!((status.code(), began.elapsed()), (Code::DeadlineExceeded, 3000 * MS));
    assert_eq!(client.snapshot().inflight, 0);
}

/// Behaviour 36.
#[tokio::test(start_paused = true)]
async fn a_stream_that_stalls_is_ended_at_its_deadline() {
    let peer = Peer::at_once(|_| Ok(stalling()));
    let client = client_of(&peer, server_stream(3000 * MS).timeout(700 * MS));
    let began = Instant::now();

    let status = call(&client).await.unwrap_err();

    assert_eq!((status.code(), began.elapsed()), (Code::DeadlineExceeded, 700 * MS));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_pauses_is_ended_at_its_deadline() {
    let endless = || stream::repeat_with(|| Ok(Frame::data(framed(b"more")))).boxed();
    let peer = Peer::at_once(move |_| Ok(streaming(endless())));
    let client = client_of(&peer, server_stream(3000 * MS).timeout(700 * MS));
    let response = client.oneshot(request(b"hello")).await.unwrap();
    let mut body = response.into_body();

    let mut pieces = 0;
    let status = loop {
        match body.frame().await.unwrap() {
            Ok(_) => pieces += 1,
            Err(status) => break status,
        }
        tokio::time::advance(MS).await;
    };

    assert_eq!((status.code(), pieces), (Code::DeadlineExceeded, 700));
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_last_as_long_as_it_says_something() {
    let peer = Peer::at_once(|_| Ok(streaming(paced(50, 900 * MS))));
    let client = client_of(&peer, server_stream(1000 * MS));
    let began = Instant::now();

    call(&client).await.unwrap();

    assert_eq!(began.elapsed(), 45_000 * MS);
    assert!(peer.seen()[0].headers.get("grpc-timeout").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_is_waited_for_from_the_last_piece_of_the_request() {
    let upload = |count| {
        let pieces = stream::iter(0..count).then(async |_| {
            tokio::time::sleep(900 * MS).await;
            Ok::<_, Status>(Frame::data(Bytes::from_static(b"piece")))
        });
        request_with(Body::new(StreamBody::new(Box::pin(pieces))))
    };
    let policy = MethodPolicy { idle_timeout: 1000 * MS, ..MethodPolicy::client_stream() };

    let answers = Peer::at_once(|_| ok());
    send(&client_of(&answers, policy.clone()), upload(20)).await.unwrap();
    assert_eq!(answers.seen()[0].body.len(), 100);

    let silent = Peer::new(async |_| std::future::pending().await);
    let began = Instant::now();
    let status = send(&client_of(&silent, policy), upload(20)).await.unwrap_err();
    assert_eq!((status.code(), began.elapsed()), (Code::DeadlineExceeded, 19_000 * MS));
}

#[tokio::test(start_paused = true)]
async fn a_conversation_lasts_as_long_as_one_of_both_speaks() {
    // The peer says one thing at once and then only listens for 10 s.
    #[derive(Clone)]
    struct Listener;
    impl tower::Service<http::Request<Body>> for Listener {
        type Response = Response<Body>;
        type Error = Status;
        type Future = std::future::Ready<Result<Response<Body>, Status>>;

        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), Status>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: http::Request<Body>) -> Self::Future {
            let heard = request.into_body().into_data_stream().filter_map(async |_| None);
            let pieces = stream::iter([Ok(Frame::data(framed(b"hello")))])
                .chain(heard)
                .chain(stream::iter([trailers(Code::Ok)]));
            std::future::ready(Ok(streaming(pieces)))
        }
    }
    let policy = MethodPolicy {
        kind: Kind::Bidirectional,
        idle_timeout: 1000 * MS,
        timeout: None,
        ..MethodPolicy::default()
    };
    let client = trellis_resilience::grpc::client::Client::builder("peer")
        .policies(crate::peer::all(policy))
        .over(Listener)
        .build()
        .unwrap();
    let speech = |gap: Duration| {
        let pieces = stream::iter(0..10).then(move |_| {
            tokio::time::sleep(gap).map(|()| Ok::<_, Status>(Frame::data(framed(b"more"))))
        });
        request_with(Body::new(StreamBody::new(Box::pin(pieces))))
    };

    send(&client, speech(900 * MS)).await.unwrap();

    let status = send(&client, speech(1100 * MS)).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_in_flight_until_its_end() {
    let peer = Peer::at_once(|_| Ok(streaming(paced(3, 10 * MS))));
    let client = client_of(&peer, server_stream(1000 * MS));

    let response = client.clone().oneshot(request(b"hello")).await.unwrap();
    assert_eq!(client.snapshot().inflight, 1);

    response.into_body().collect().await.unwrap();
    assert_eq!(client.snapshot().inflight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_left_after_a_message_was_a_success() {
    let peer = Peer::at_once(|_| Ok(streaming(paced(3, 10 * MS))));
    let client = client_of(&peer, server_stream(1000 * MS));

    let mut body = client.clone().oneshot(request(b"hello")).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    let window = client.snapshot().breaker.window;
    assert_eq!((window.calls, window.failures), (1, 0));

    let body = client.clone().oneshot(request(b"hello")).await.unwrap().into_body();
    drop(body);
    assert_eq!(client.snapshot().breaker.window, window, "nothing was learned");
    assert_eq!(client.snapshot().inflight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_an_end_is_a_failure_of_the_peer() {
    let peer = Peer::at_once(|_| Ok(streamed([Ok(Frame::data(framed(b"one")))])));
    let client = client_of(&peer, server_stream(1000 * MS));

    call(&client).await.unwrap();

    let window = client.snapshot().breaker.window;
    assert_eq!((window.calls, window.failures), (1, 1));
}
