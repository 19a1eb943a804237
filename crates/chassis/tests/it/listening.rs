//! Listeners set their limits, and close without dropping anyone.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::get as route;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use trellis_chassis::listen::Limits;
use trellis_chassis::transport::Roads;
use trellis_chassis::{Shutdown, listen, transport};
use trellis_resilience::policy::PolicyTable;

use crate::probe::{Probe, ask, client, get, said, with_telemetry};

const GRACE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_call_in_flight_is_finished_before_the_end() {
    let shutdown = Shutdown::default();
    let probe = Probe::default();
    let address = probe.clone().listening(&shutdown).await;
    let mut one = client(address);

    let stop = async {
        probe.held.notified().await;
        shutdown.request();
        probe.gate.add_permits(1);
    };
    let (answer, ()) = tokio::join!(one.recommend(ask(&["hold"])), stop);

    answer.expect("the call was in flight");
    shutdown.finish(GRACE).await.unwrap();
    let late = client(address).recommend(ask(&["left"])).await.unwrap_err();
    assert_eq!(late.code(), Code::Unavailable);
}

#[tokio::test]
async fn those_who_watch_see_a_process_leave_and_do_not_hold_it() {
    let shutdown = Shutdown::new(Duration::from_millis(50));
    let address = Probe::default().listening(&shutdown).await;
    let mut health = HealthClient::new(transport::remote(&format!("http://{address}")).unwrap());
    let watch = health.watch(HealthCheckRequest::default()).await.unwrap();
    let mut watch = watch.into_inner();

    let serving = watch.message().await.unwrap().unwrap();
    assert_eq!(serving.status(), ServingStatus::Serving);
    shutdown.request();
    let leaving = watch.message().await.unwrap().unwrap();
    assert_eq!(leaving.status(), ServingStatus::NotServing);

    assert_eq!(watch.message().await.unwrap(), None);
    shutdown.finish(GRACE).await.unwrap();
}

#[tokio::test]
async fn a_taken_address_is_named_with_its_setting() {
    let taken = listen::bind("127.0.0.1:0", "TRELLIS_LISTEN").await.unwrap();
    let address = taken.local_addr().unwrap();

    let error = listen::bind(address, "TRELLIS_LISTEN").await.unwrap_err();

    let text = format!("{error:#}");
    assert!(text.contains(&address.to_string()), "{text}");
    assert!(text.contains("TRELLIS_LISTEN"), "{text}");
}

#[tokio::test]
async fn one_port_speaks_grpc_and_http_1() {
    with_telemetry();
    let shutdown = Shutdown::default();
    let router = Probe::default().routes().into_axum_router().route(
        "/whoami",
        route(async |ConnectInfo(address): ConnectInfo<std::net::SocketAddr>| {
            address.ip().to_string()
        }),
    );
    let router: Router = router;
    let listener = listen::bind("127.0.0.1:0", "TRELLIS_LISTEN").await.unwrap();
    let address = listener.local_addr().unwrap();
    let front = Roads::new().front("both", PolicyTable::default());
    listen::http("both", router, listener, Limits::EDGE, front, &shutdown);

    let answer = get(address, "/whoami").await;
    assert!(answer.contains("trace-id: "), "{answer}");
    assert!(answer.ends_with("127.0.0.1"), "{answer}");
    assert_eq!(said(client(address).recommend(ask(&["address"])).await.unwrap()), "127.0.0.1");
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_says_nothing_is_cut_off() {
    let address = Probe::default().listening(&Shutdown::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"PRI * HTT").await.unwrap();

    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_is_sent_away() {
    let address = Probe::default().listening(&Shutdown::default()).await;
    let start = tokio::time::Instant::now();
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let handshake = http2::handshake::<_, _, Body>(TokioExecutor::new(), stream);
    let (sender, connection) = handshake.await.unwrap();

    connection.await.unwrap();

    assert!(sender.is_closed());
    let minutes = start.elapsed().as_secs_f64() / 60.0;
    assert!((9.0..=11.1).contains(&minutes), "{minutes} minutes");
}

#[tokio::test]
async fn http_2_starts_with_our_limits() {
    let address = Probe::default().listening(&Shutdown::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();

    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head[3], 4, "the first frame has the settings");
    let mut settings = vec![0; usize::from(head[2])];
    stream.read_exact(&mut settings).await.unwrap();

    let setting = |id: u8| {
        let pair = settings.chunks(6).find(|pair| pair[..2] == [0, id])?;
        Some(u32::from_be_bytes(pair[2..].try_into().unwrap()))
    };
    assert_eq!(setting(3), Some(128), "MAX_CONCURRENT_STREAMS");
    assert_eq!(setting(4), Some(1024 * 1024), "INITIAL_WINDOW_SIZE");
    assert_eq!(setting(6), Some(8 * 1024), "MAX_HEADER_LIST_SIZE");
}
