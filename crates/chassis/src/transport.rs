//! The two roads to a peer, which callers cannot tell apart.
//!
//! Both carry the trace and the deadline, and both end in the same server stack. A
//! message may have 4 MiB on either, which is what the generated code decodes.
//! Retries, breakers and balancing are not here.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, TimeoutExpired};
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

use crate::client::Client;
use crate::deadline;
use crate::server::Server;

/// A road to a peer: what every generated client is made over.
pub type Transport = BoxCloneSyncService<Request<Body>, Response<Body>, Status>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The product of bandwidth and delay at 1 Gbit/s and 8 ms.
const STREAM_WINDOW: u32 = 1024 * 1024;
/// Some streams may be slow to read without stopping the others.
const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;

/// The road to a peer in this process.
///
/// Messages are encoded all the same, so that nothing works here which a network
/// would break. The handler runs inside the caller's task and ends when the caller
/// stops waiting.
pub fn local(routes: Routes) -> Transport {
    let peer = Server::new(routes.into_axum_router())
        .map_request(|request: Request<Body>| request.map(axum::body::Body::new))
        .map_response(|response| response.map(Body::new))
        .map_err(|never: Infallible| match never {});
    Transport::new(Client::new(peer))
}

/// The road to a peer at `uri`, such as `http://inventory:8080`.
///
/// It connects when it is first used, and again whenever the connection is lost.
pub fn remote(uri: &str) -> anyhow::Result<Transport> {
    let endpoint = Endpoint::from_shared(uri.to_owned())
        .with_context(|| format!("{uri} is not a URI such as http://host:8080"))?;
    let complete = endpoint.uri().scheme_str() == Some("http") && endpoint.uri().host().is_some();
    anyhow::ensure!(complete, "{uri} is not a URI such as http://host:8080");
    let peer = Arc::new(Peer { uri: uri.to_owned(), is_lost: AtomicBool::new(false) });
    Ok(Transport::new(Client::new(Remote { channel: connect(endpoint), peer })))
}

#[expect(clippy::disallowed_methods, reason = "this is the place that sets the limits")]
fn connect(endpoint: Endpoint) -> Channel {
    endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        // A peer that is gone without a word is noticed, also between calls.
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .connect_lazy()
}

/// A channel whose failures have the right code.
#[derive(Clone, Debug)]
struct Remote {
    channel: Channel,
    peer: Arc<Peer>,
}

/// What is known of a peer, so that an outage is logged once and not for each call.
#[derive(Debug)]
struct Peer {
    uri: String,
    is_lost: AtomicBool,
}

impl tower::Service<Request<Body>> for Remote {
    type Response = Response<Body>;
    type Error = Status;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Status>> {
        self.channel.poll_ready(cx).map_err(|error| self.peer.lost(&error))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let call = self.channel.call(request);
        let peer = Arc::clone(&self.peer);
        Box::pin(async move {
            let response = call.await.map_err(|error| peer.lost(&error))?;
            peer.answered();
            Ok(response.map(|body| Body::new(body.map_err(move |error| peer.lost(&error)))))
        })
    }
}

impl Peer {
    fn answered(&self) {
        if self.is_lost.load(Ordering::Relaxed) && self.is_lost.swap(false, Ordering::Relaxed) {
            tracing::info!(peer = self.uri, "peer answers again");
        }
    }

    fn lost(&self, error: &(dyn std::error::Error + 'static)) -> Status {
        let status = meaning(error);
        if status.code() != Code::Unavailable || self.is_lost.swap(true, Ordering::Relaxed) {
            tracing::debug!(peer = self.uri, error, "call lost");
        } else {
            tracing::warn!(peer = self.uri, error, "peer lost");
        }
        status
    }
}

/// What a failure of the transport means to the caller.
///
/// The peer may have done its work before the connection went, so whoever tries
/// again relies on the peer being idempotent.
fn meaning(error: &(dyn std::error::Error + 'static)) -> Status {
    let mut cause = Some(error);
    while let Some(error) = cause {
        // Tonic reads the deadline from the header too, and may be first.
        if error.is::<TimeoutExpired>() {
            return deadline::exceeded();
        }
        cause = error.source();
    }
    trellis_api::error::status(
        Code::Unavailable,
        "PEER_UNREACHABLE",
        "a service that is needed cannot be reached",
        &[],
    )
}
