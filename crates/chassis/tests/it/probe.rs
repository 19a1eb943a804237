//! A service that does what it is asked to, good or bad.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use trellis_api::recommendation::v1::recommendation_service_client::RecommendationServiceClient;
use trellis_api::recommendation::v1::recommendation_service_server::{
    RecommendationService, RecommendationServiceServer,
};
use trellis_api::recommendation::v1::{
    AuditRecommendationsRequest, AuditRecommendationsResponse, RecommendRequest, RecommendResponse,
};
use trellis_chassis::transport::Roads;
use trellis_chassis::{Shutdown, Transport, deadline, listen, transport};
use trellis_consistency::{Position, context};
use trellis_resilience::policy::PolicyTable;
use trellis_telemetry::propagation;

pub(crate) type Client = RecommendationServiceClient<Transport>;

/// What `Recommend` does is its first SKU.
#[derive(Clone)]
pub(crate) struct Probe {
    /// Where `relay` goes on to, with the rest of the SKUs.
    pub(crate) next: Option<Client>,
    pub(crate) calls: Arc<AtomicUsize>,
    /// `hold` says here that it has begun…
    pub(crate) held: Arc<Notify>,
    /// … and waits for a permit here, which `free` adds.
    pub(crate) gate: Arc<Semaphore>,
    /// Between two messages of the stream, of which there is no end.
    pub(crate) pace: Duration,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            next: None,
            calls: Arc::default(),
            held: Arc::default(),
            gate: Arc::new(Semaphore::new(0)),
            pace: Duration::from_mins(1),
        }
    }
}

#[tonic::async_trait]
impl RecommendationService for Probe {
    async fn recommend(
        &self,
        request: Request<RecommendRequest>,
    ) -> Result<Response<RecommendResponse>, Status> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let address = request.remote_addr();
        let mut skus = request.into_inner().skus;
        let said = match skus.first().map_or("", String::as_str) {
            "hang" => std::future::pending().await,
            "panic" => panic!("on purpose"),
            "left" => format!("{:?}", deadline::remaining().map(|left| left.as_secs_f64().ceil())),
            "trace" => propagation::current_trace_id().unwrap().to_string(),
            "write" => {
                context::note("probe/0", Position { timeline: 1, lsn: 0x2A });
                String::new()
            }
            "needed" => context::current().to_string(),
            "address" => address.unwrap().ip().to_string(),
            "free" => {
                self.gate.add_permits(1);
                String::new()
            }
            "hold" => {
                self.held.notify_one();
                self.gate.acquire().await.unwrap().forget();
                String::new()
            }
            "relay" => {
                tokio::time::sleep(Duration::from_secs(5)).await;
                skus.remove(0);
                let request = RecommendRequest { skus, page_size: 0 };
                return self.next.clone().unwrap().recommend(request).await;
            }
            _ => String::new(),
        };
        Ok(Response::new(RecommendResponse { skus: vec![said] }))
    }

    type AuditRecommendationsStream =
        BoxStream<'static, Result<AuditRecommendationsResponse, Status>>;

    async fn audit_recommendations(
        &self,
        _: Request<AuditRecommendationsRequest>,
    ) -> Result<Response<Self::AuditRecommendationsStream>, Status> {
        let pace = self.pace;
        let messages = stream::repeat(()).then(move |()| async move {
            tokio::time::sleep(pace).await;
            Ok(AuditRecommendationsResponse::default())
        });
        Ok(Response::new(messages.boxed()))
    }
}

/// Traces have ids from here on, in all tests.
pub(crate) fn with_telemetry() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let spans = Some("debug".parse().unwrap());
        let settings = trellis_telemetry::Settings { spans, ..Default::default() };
        let _telemetry = trellis_telemetry::start("test", &settings).expect("nobody else has");
    });
}

impl Probe {
    pub(crate) fn routes(self) -> Routes {
        Routes::new(RecommendationServiceServer::new(self))
    }

    pub(crate) fn local(self) -> Client {
        Client::new(transport::local(self.routes()))
    }

    /// Listens until the `Shutdown` is told to stop.
    pub(crate) async fn listening(self, shutdown: &Shutdown) -> SocketAddr {
        let listener = listen::bind("127.0.0.1:0", "TRELLIS_LISTEN").await.unwrap();
        let address = listener.local_addr().unwrap();
        let front = Roads::new().front("probe", PolicyTable::default());
        listen::grpc("probe", self.routes(), listener, front, shutdown);
        address
    }

    pub(crate) async fn remote(self) -> Client {
        client(self.listening(&Shutdown::default()).await)
    }
}

pub(crate) fn client(address: SocketAddr) -> Client {
    Client::new(transport::remote(&format!("http://{address}")).unwrap())
}

pub(crate) fn ask(words: &[&str]) -> Request<RecommendRequest> {
    let skus = words.iter().map(|word| (*word).to_owned()).collect();
    Request::new(RecommendRequest { skus, page_size: 0 })
}

pub(crate) fn within<T>(timeout: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    request
}

/// What the probe said.
pub(crate) fn said(response: Response<RecommendResponse>) -> String {
    response.into_inner().skus.concat()
}

/// A request of HTTP/1.1 and all that comes back.
pub(crate) async fn get(address: SocketAddr, path: &str) -> String {
    exchange(address, "GET", path, "accept: */*", "").await
}

/// As [`get`], by someone who takes these kinds.
pub(crate) async fn get_as(address: SocketAddr, path: &str, kinds: &str) -> String {
    exchange(address, "GET", path, &format!("accept: {kinds}"), "").await
}

/// A `PUT` of HTTP/1.1 and all that comes back.
pub(crate) async fn put(address: SocketAddr, path: &str, body: &str) -> String {
    let length = format!("content-length: {}", body.len());
    exchange(address, "PUT", path, &length, body).await
}

async fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    header: &str,
    body: &str,
) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: test\r\n{header}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}
