//! An endpoint and the ways in which a real peer can leave it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::uri::Authority;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tonic::body::Body;
use tonic::{Code, Status};
use trellis_resilience::Environment;
use trellis_resilience::grpc::body::RequestBody;
use trellis_resilience::net::connect::TcpConnect;
use trellis_resilience::net::endpoint::{Endpoint, Settings, State, Unavailable};
use trellis_resilience::outcome::FailureKind;

use crate::backend::{Backend, Control, framed, refusal, reply, whole};

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::new(
        address.into(),
        Settings::default(),
        Arc::new(TcpConnect),
        Authority::from_static("inventory:50051"),
        &Environment::tokio(),
        "inventory".into(),
    )
}

fn call(message: &[u8]) -> Request<RequestBody> {
    let body = RequestBody::whole(framed(message));
    Request::post("/trellis.test.v1.Test/Call").body(body).expect("it is a request")
}

#[tokio::test]
async fn a_call_and_its_answer_arrive_as_they_were_sent() {
    let backend = Backend::start(|request| async {
        assert_eq!(request.uri(), "http://inventory:50051/trellis.test.v1.Test/Call");
        match &whole(request.into_body()).await.unwrap()[5..] {
            b"out of stock" => refusal(Code::FailedPrecondition, "no mugs"),
            message => reply(message),
        }
    })
    .await;
    let endpoint = endpoint(backend.address());

    let response = endpoint.send(call(b"six mugs")).await.unwrap();
    assert_eq!(whole(response.into_body()).await.unwrap(), framed(b"six mugs"));

    let response = endpoint.send(call(b"out of stock")).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "9", "an error of the peer is an answer");
    assert_eq!((backend.requests(), backend.accepted()), (2, 1));
    drop(endpoint);
    backend.stop().await;
}

#[tokio::test]
async fn nobody_at_the_address_means_that_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);

    let error = endpoint(address).send(call(b"")).await.unwrap_err();

    assert_eq!(error.kind, FailureKind::Unsent);
    let cause = error.source.downcast_ref::<Unavailable>().unwrap();
    assert!(cause.to_string().starts_with(&format!("{address} is left alone for ")));
    assert!(format!("{:?}", cause.cause).contains("ConnectionRefused"));
}

/// Behaviour 38.
#[tokio::test]
async fn a_connection_lost_in_a_call_is_known_as_such() {
    let control = Control::default();
    let trouble = control.clone();
    let backend = Backend::start_with(control, move |request| {
        let trouble = trouble.clone();
        async move {
            match &whole(request.into_body()).await.unwrap()[5..] {
                b"hang up" => trouble.hang_up(),
                message => return reply(message),
            }
            std::future::pending().await
        }
    })
    .await;
    let endpoint = endpoint(backend.address());

    endpoint.send(call(b"six mugs")).await.unwrap();
    let error = endpoint.send(call(b"hang up")).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::ConnectionLost);

    endpoint.send(call(b"six mugs")).await.unwrap();
    assert_eq!(backend.accepted(), 2);

    backend.kill().await;
    // Whether the end was noticed by now decides who says so.
    let error = endpoint.send(call(b"six mugs")).await.unwrap_err();
    assert!(matches!(error.kind, FailureKind::ConnectionLost | FailureKind::Unsent));
    let error = endpoint.send(call(b"six mugs")).await.unwrap_err();
    assert_eq!(error.kind, FailureKind::Unsent);
}

#[tokio::test]
async fn a_caller_that_goes_away_is_noticed_by_the_handler() {
    struct Tells(Option<oneshot::Sender<()>>);
    impl Drop for Tells {
        fn drop(&mut self) {
            let _ = self.0.take().unwrap().send(());
        }
    }
    let (begun, mut begins) = mpsc::unbounded_channel();
    let backend = Backend::start(move |_| {
        let begun = begun.clone();
        async move {
            let (tell, ended) = oneshot::channel();
            let _tells = Tells(Some(tell));
            begun.send(ended).unwrap();
            std::future::pending().await
        }
    })
    .await;
    let endpoint = endpoint(backend.address());

    let ended = tokio::select! {
        _ = endpoint.send(call(b"")) => unreachable!("it is never answered"),
        ended = begins.recv() => ended.unwrap(),
    };

    ended.await.unwrap();
    assert_eq!(endpoint.state(), State::Ready, "that is no reason to leave");
}

/// Calls as fast as it goes, at least a thousand and for a second, and says how often
/// the peer was connected to.
async fn calls_for_a_second(greeting: &'static [u8]) -> usize {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = endpoint(listener.local_addr().unwrap());
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    let mut server = JoinSet::new();
    server.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            // Whether it arrives is not the question.
            let _ = stream.write_all(greeting).await;
        }
    });

    let began = Instant::now();
    let mut calls = 0;
    while calls < 1_000 || began.elapsed() < Duration::from_secs(1) {
        endpoint.send(call(b"six mugs")).await.unwrap_err();
        calls += 1;
    }
    accepted.load(Ordering::SeqCst)
}

/// Behaviour 40.
#[tokio::test]
async fn a_peer_that_accepts_and_closes_is_connected_to_a_few_times_a_second() {
    let connects = calls_for_a_second(b"").await;
    assert!((2..=20).contains(&connects), "{connects} connects");
}

/// Behaviour 40.
#[tokio::test]
async fn a_peer_that_accepts_and_greets_and_closes_is_no_better() {
    let connects = calls_for_a_second(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await;
    assert!((2..=20).contains(&connects), "{connects} connects");
}

const CALLERS: u32 = 32;
const CALLS: u32 = 250;

/// Calls from many sides, none of which may be repeated, while the server says goodbye
/// every 250 calls.
async fn calls_under_goodbyes() {
    let arrivals = Arc::new(Mutex::new(HashMap::new()));
    let control = Control::default();
    let (seen, trouble) = (Arc::clone(&arrivals), control.clone());
    let backend = Backend::start_with(control, move |request| {
        let (seen, trouble) = (Arc::clone(&seen), trouble.clone());
        async move {
            // A head without a body is a call that was overtaken, and is cancelled.
            let Ok(message) = whole(request.into_body()).await else { return reply(b"late") };
            let mut seen = seen.lock().unwrap();
            *seen.entry(message).or_insert(0) += 1;
            if seen.len() % 250 == 0 {
                trouble.drain();
            }
            reply(b"reserved")
        }
    })
    .await;
    let endpoint = endpoint(backend.address());
    let callers: JoinSet<()> =
        (0..CALLERS).map(|caller| many_calls(endpoint.clone(), caller)).collect();
    callers.join_all().await;

    let arrivals: HashMap<Bytes, usize> = arrivals.lock().unwrap().clone();
    assert_eq!(arrivals.len(), (CALLERS * CALLS) as usize);
    assert!(arrivals.values().all(|times| *times == 1), "none was repeated");
    assert!(backend.accepted() > 10, "{} connections", backend.accepted());
}

async fn many_calls(endpoint: Endpoint, caller: u32) {
    for number in 0..CALLS {
        let message = [caller.to_be_bytes(), number.to_be_bytes()].concat();
        let response = endpoint.send(call(&message)).await.unwrap();
        assert_eq!(whole(response.into_body()).await.unwrap(), framed(b"reserved"));
    }
}

/// Behaviour 41.
#[tokio::test]
async fn goodbyes_under_load_fail_no_call_and_repeat_none() {
    calls_under_goodbyes().await;
}

/// Behaviour 41.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn goodbyes_under_load_fail_no_call_between_threads_either() {
    calls_under_goodbyes().await;
}

/// Behaviour 45.
#[tokio::test]
async fn a_response_outlives_its_endpoint() {
    let (sender, receiver) = mpsc::unbounded_channel::<Bytes>();
    let receiver = Mutex::new(Some(receiver));
    let backend = Backend::start(move |_| {
        let receiver = receiver.lock().unwrap().take().unwrap();
        let frames = futures::stream::unfold(receiver, |mut receiver| async {
            let piece = receiver.recv().await?;
            Some((Ok::<_, Status>(Frame::data(piece)), receiver))
        });
        async { Response::new(Body::new(StreamBody::new(frames))) }
    })
    .await;
    let endpoint = endpoint(backend.address());
    let response = endpoint.send(call(b"")).await.unwrap();

    drop(endpoint);
    let rest = async {
        for piece in ["one ", "two ", "three"] {
            tokio::task::yield_now().await;
            sender.send(piece.into()).unwrap();
        }
        drop(sender);
    };
    let (body, ()) = tokio::join!(whole(response.into_body()), rest);

    assert_eq!(body.unwrap(), "one two three");
    let stopped = timeout(Duration::from_secs(5), backend.stop()).await;
    stopped.expect("the connection ends with its last call");
}
