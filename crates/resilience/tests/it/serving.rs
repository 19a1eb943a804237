//! A service that does what its path says, on a real socket.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream;
use http::{HeaderMap, Request, Response, Uri};
use http_body::Frame;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tower::{Layer as _, Service};
use trellis_resilience::grpc::server::ServerLayer;

/// What it does is the last segment of the path.
#[derive(Clone, Default)]
pub(crate) struct Probe {
    pub(crate) calls: Arc<AtomicUsize>,
    /// Handlers and streams that ended, in whichever way.
    pub(crate) ended: Arc<AtomicUsize>,
}

/// A server, which goes when this is dropped, and a connection to it.
pub(crate) struct Serving {
    pub(crate) client: SendRequest<Empty<Bytes>>,
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

/// An answer, with headers and trailers in one.
pub(crate) struct Answer {
    pub(crate) metadata: HeaderMap,
    pub(crate) has_trailers: bool,
}

/// Counts when it is dropped.
struct Ending(Arc<AtomicUsize>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl<B> Service<Request<B>> for Probe {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let ending = Ending(Arc::clone(&self.ended));
        let path = request.uri().path().to_owned();
        Box::pin(async move {
            match path.rsplit('/').next().unwrap() {
                "Hang" => std::future::pending().await,
                "Panic" => panic!("on purpose"),
                "Stall" => Ok(stream(ending, stream::pending().boxed())),
                "PanicLater" => {
                    let panic = stream::once(async { panic!("on purpose") }).boxed();
                    Ok(stream(ending, panic))
                }
                _ => {
                    let trailers =
                        HeaderMap::from_iter([("grpc-status".parse().unwrap(), 0.into())]);
                    let end = stream::iter([Ok(Frame::trailers(trailers))]).boxed();
                    Ok(stream(ending, end))
                }
            }
        })
    }
}

impl NamedService for Probe {
    const NAME: &'static str = "test.Probe";
}

type Frames = stream::BoxStream<'static, Result<Frame<Bytes>, Infallible>>;

/// One message, and then `rest`.
fn stream(ending: Ending, rest: Frames) -> Response<Body> {
    let message = stream::iter([Ok(Frame::data(Bytes::from_static(&[0; 5])))]);
    let frames = message.chain(rest).inspect(move |_| {
        let _ = &ending;
    });
    let mut response = Response::new(Body::new(StreamBody::new(frames)));
    response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    response
}

impl Serving {
    /// On hyper itself.
    pub(crate) async fn hyper(layer: &ServerLayer, probe: Probe) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = TowerToHyperService::new(layer.layer(probe));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let connection = builder.serve_connection(TokioIo::new(stream), server.clone());
                connections.spawn(async move { drop(connection.await) });
            }
        });
        Self::connected(address, tasks).await
    }

    /// On tonic's server, which has a timeout of its own.
    pub(crate) async fn tonic(layer: &ServerLayer, probe: Probe) -> Self {
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = incoming.local_addr().unwrap();
        let server = tonic::transport::Server::builder()
            .layer(layer.clone())
            .add_routes(Routes::new(probe))
            .serve_with_incoming(incoming);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { drop(server.await) });
        Self::connected(address, tasks).await
    }

    async fn connected(address: SocketAddr, mut tasks: JoinSet<()>) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let handshake =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (client, connection) = handshake.await.unwrap();
        tasks.spawn(async move { drop(connection.await) });
        Self { client, address, _tasks: tasks }
    }

    /// Asks for `method`, and reads all of the answer.
    pub(crate) async fn call(&mut self, method: &str, headers: &[(&'static str, &str)]) -> Answer {
        let uri = format!("http://{}/test.Probe/{method}", self.address);
        let mut request = Request::post(Uri::try_from(uri).unwrap())
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.client.send_request(request.body(Empty::new()).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let mut metadata = head.headers;
        let trailers = body.collect().await.unwrap().trailers().cloned();
        let has_trailers = trailers.is_some();
        metadata.extend(trailers.unwrap_or_default());
        Answer { metadata, has_trailers }
    }
}

impl Answer {
    pub(crate) fn code(&self) -> &str {
        self.metadata["grpc-status"].to_str().unwrap()
    }
}
