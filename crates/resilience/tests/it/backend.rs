//! A real server for tests: HTTP/2 on a real socket, and a closure that answers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::ops::Deref;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::{Code, Status};
use trellis_resilience::net::linger::Lingering;

/// A running server. Dropping it is as [`Backend::kill`].
pub(crate) struct Backend {
    address: SocketAddr,
    control: Control,
    /// The task that accepts, which owns those of the connections.
    server: JoinSet<()>,
}

/// What a test, or its handler, can do to a server. Clones are one.
#[derive(Clone, Default)]
pub(crate) struct Control(Arc<Shared>);

#[derive(Default)]
struct Shared {
    accepted: AtomicUsize,
    requests: AtomicUsize,
    /// What happens to the connections that are open when it changes.
    farewells: watch::Sender<Farewell>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Farewell {
    /// Goodbye (GOAWAY).
    #[default]
    Polite,
    /// None.
    Rude,
    /// Goodbye, and nobody else comes in.
    Final,
}

type Handler = dyn Fn(Request<Incoming>) -> BoxFuture<'static, Response<Body>> + Send + Sync;

impl Control {
    /// Connections so far.
    pub(crate) fn accepted(&self) -> usize {
        self.0.accepted.load(Ordering::SeqCst)
    }

    /// Calls so far, as the handler saw them.
    pub(crate) fn requests(&self) -> usize {
        self.0.requests.load(Ordering::SeqCst)
    }

    /// Says goodbye on every open connection (GOAWAY): what is in flight is answered,
    /// and what comes next has to come on a new one.
    pub(crate) fn drain(&self) {
        self.0.farewells.send_replace(Farewell::Polite);
    }

    /// Breaks every open connection off in the middle. New ones are welcome.
    pub(crate) fn hang_up(&self) {
        self.0.farewells.send_replace(Farewell::Rude);
    }
}

impl Backend {
    /// Answers what `handler` says, on a port of its own.
    pub(crate) async fn start<H, F>(handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::start_with(Control::default(), handler).await
    }

    /// The same, for a handler that has a part in the trouble.
    pub(crate) async fn start_with<H, F>(control: Control, handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::listen(SocketAddr::from(([127, 0, 0, 1], 0)), control, handler).await
    }

    /// The same where another one was that is gone.
    pub(crate) async fn start_at<H, F>(address: SocketAddr, handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::listen(address, Control::default(), handler).await
    }

    async fn listen<H, F>(address: SocketAddr, control: Control, handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let handler: Arc<Handler> = Arc::new(move |request| handler(request).boxed());
        let mut server = JoinSet::new();
        server.spawn(accept(listener, control.clone(), handler));
        Self { address, control, server }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, answers what is in flight, and ends.
    pub(crate) async fn stop(mut self) {
        self.control.0.farewells.send_replace(Farewell::Final);
        self.server.join_next().await;
    }

    /// Breaks every connection off in the middle, and frees the port.
    pub(crate) async fn kill(mut self) {
        self.server.shutdown().await;
    }
}

impl Deref for Backend {
    type Target = Control;

    fn deref(&self) -> &Control {
        &self.control
    }
}

async fn accept(listener: TcpListener, control: Control, handler: Arc<Handler>) {
    let mut farewells = control.0.farewells.subscribe();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                control.0.accepted.fetch_add(1, Ordering::SeqCst);
                connections.spawn(serve(stream, control.clone(), Arc::clone(&handler)));
            }
            _ = connections.join_next(), if !connections.is_empty() => {}
            Ok(_) = farewells.wait_for(|farewell| *farewell == Farewell::Final) => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve(stream: TcpStream, control: Control, handler: Arc<Handler>) {
    stream.set_nodelay(true).unwrap();
    let mut farewells = control.0.farewells.subscribe();
    let handle = service_fn(|request| {
        control.0.requests.fetch_add(1, Ordering::SeqCst);
        handler(request).map(Ok::<_, Infallible>)
    });
    let builder = http2::Builder::new(TokioExecutor::new());
    let mut connection =
        pin!(builder.serve_connection(TokioIo::new(Lingering::new(stream)), handle));
    loop {
        tokio::select! {
            // How it ended is what the client is asked about.
            _ = &mut connection => return,
            _ = farewells.changed() => match *farewells.borrow_and_update() {
                Farewell::Polite | Farewell::Final => connection.as_mut().graceful_shutdown(),
                Farewell::Rude => return,
            },
        }
    }
}

/// A message, as it stands in the body of a call.
pub(crate) fn framed(message: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(5 + message.len());
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.len()).unwrap());
    bytes.put_slice(message);
    bytes.freeze()
}

/// All of a request's or a response's body.
pub(crate) async fn whole<B>(body: B) -> Result<Bytes, B::Error>
where
    B: hyper::body::Body<Data = Bytes>,
{
    Ok(body.collect().await?.to_bytes())
}

/// A response with one message, and OK in its trailers.
pub(crate) fn reply(message: &[u8]) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [Frame::data(framed(message)), Frame::trailers(trailers)];
    let body = StreamBody::new(futures::stream::iter(frames.map(Ok::<_, Status>)));
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

/// A response that is only an error.
pub(crate) fn refusal(code: Code, message: &str) -> Response<Body> {
    Status::new(code, message).into_http()
}
