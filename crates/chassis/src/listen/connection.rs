//! One connection, with every limit that HTTP/1.1 and HTTP/2 have.

use std::pin::{Pin, pin};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulConnection;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tonic::transport::server::{Connected as _, TcpConnectInfo};
use tower::ServiceExt as _;
use trellis_resilience::net::linger::Lingering;

use super::Limits;
use super::opening::Opening;
use crate::server::Server;

/// How long a caller may take to send a request's head, and to stay silent between
/// two requests of HTTP/1.1.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);

const MAX_HEADER_BYTES: u32 = 8 * 1024;
/// Also the size of what is read at once; at most 100 headers are the default.
const MAX_HTTP1_HEAD: usize = 64 * 1024;

/// Streams that the caller opened and reset before they were looked at
/// (CVE-2023-44487); more close the connection.
const MAX_PENDING_RESETS: usize = 20;

/// Streams that were reset here since the caller broke the protocol
/// (RUSTSEC-2024-0003); more close the connection.
const MAX_ERROR_RESETS: usize = 256;

const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;

const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How old a connection becomes, give or take a tenth, before its caller is sent away
/// to make another: so that callers spread over instances that were added later.
const MAX_AGE: Duration = Duration::from_mins(10);

/// How long an old connection may take to finish what is in flight.
const AGE_GRACE: Duration = Duration::from_secs(30);

/// Serves `stream` until its caller leaves, until it is old, or until `stop` ends;
/// what is in flight is finished first.
pub(super) async fn serve(
    stream: TcpStream,
    server: Server,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    // Nagle's algorithm would hold small frames back for 40 ms.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = &error as &dyn std::error::Error, "connection gone");
        return;
    }
    let caller = stream.connect_info();
    let service = server.map_request(move |request: Request<Incoming>| known(request, &caller));
    let io = TokioIo::new(Opening::new(Lingering::new(stream), HEADER_TIMEOUT));

    let builder = builder(limits);
    let connection = pin!(builder.serve_connection(io, TowerToHyperService::new(service)));
    if let Err(error) = run(connection, stop).await {
        // Callers come and go; nobody here can do anything about it.
        tracing::debug!(error = error.as_ref() as &dyn std::error::Error, "connection failed");
    }
}

async fn run<C, E>(mut connection: Pin<&mut C>, stop: impl Future<Output = ()>) -> Result<(), E>
where
    C: GracefulConnection<Error = E> + Future<Output = Result<(), E>>,
{
    let mut stop = pin!(stop);
    let spread = rand::random_range(0.9..=1.1);
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = stop.as_mut() => {
            connection.as_mut().graceful_shutdown();
            return connection.await;
        }
        () = tokio::time::sleep(MAX_AGE.mul_f64(spread)) => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::time::timeout(AGE_GRACE, connection).await.unwrap_or(Ok(()))
}

fn builder(limits: Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HTTP1_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_ERROR_RESETS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    builder
}

/// The request, with its caller's address in the forms that axum and tonic know.
fn known(request: Request<Incoming>, caller: &TcpConnectInfo) -> Request<Body> {
    let mut request = request.map(Body::new);
    if let Some(address) = caller.remote_addr {
        request.extensions_mut().insert(ConnectInfo(address));
    }
    request.extensions_mut().insert(caller.clone());
    request
}
