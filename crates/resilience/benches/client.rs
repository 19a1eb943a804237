//! What the client costs: over a service that answers at once, against that service;
//! and over loopback, against the channel of tonic.
//!
//! `cargo bench -p trellis-resilience --bench client`

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use divan::{AllocProfiler, Bencher};
use futures::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::body::Body;
use tower::{Service, ServiceExt as _};
use trellis_resilience::grpc::client::{Client, Over};
use trellis_resilience::net::fleet::Fleet;
use trellis_resilience::policy::{MethodPolicy, PolicyTable};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const PATH: &str = "/shop.Stock/Get";
const MESSAGE: &[u8] = b"\0\0\0\0\x05hello";

fn main() {
    divan::main();
}

/// Answers at once with a message and OK.
#[derive(Clone, Copy)]
struct Instantaneous;

/// A message, and the trailers.
enum Answer {
    Message,
    Trailers,
    Over,
}

impl Service<Request<Body>> for Instantaneous {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Answer>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        drop(request);
        ready(Ok(Response::new(Answer::Message)))
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let (frame, next) = match *self {
            Self::Message => (Some(Frame::data(Bytes::from_static(MESSAGE))), Self::Trailers),
            Self::Trailers => (Some(Frame::trailers(trailers())), Self::Over),
            Self::Over => (None, Self::Over),
        };
        *self = next;
        Poll::Ready(frame.map(Ok))
    }
}

fn trailers() -> HeaderMap {
    let ok = (HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
    HeaderMap::from_iter([ok])
}

/// As generated code makes it.
fn request() -> Request<Body> {
    let mut request = Request::new(Body::new(Full::new(Bytes::from_static(MESSAGE))));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = http::Uri::from_static(PATH);
    let headers = request.headers_mut();
    headers.reserve(4);
    headers.insert("te", HeaderValue::from_static("trailers"));
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    request
}

/// Makes a call and reads all of its response.
async fn call<S, B>(mut service: S)
where
    S: Service<Request<Body>, Response = Response<B>>,
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let Ok(response) =
        service.ready().await.unwrap_or_else(|_| unreachable!()).call(request()).await
    else {
        panic!("the call failed")
    };
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        black_box(frame.is_ok_and(|frame| frame.is_trailers()));
    }
}

fn over(policy: MethodPolicy) -> Client<Over<Instantaneous>> {
    let policies = PolicyTable::default()
        .method("/shop.Stock/Put", MethodPolicy::with_key())
        .method("/shop.Stock/List", MethodPolicy::safe())
        .method(PATH, policy);
    Client::builder("stock").policies(policies).over(Instantaneous).build().expect("it is good")
}

#[divan::bench]
fn bare(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| call(Instantaneous).now_or_never());
}

/// A call that may be repeated: what it needs for that is kept.
#[divan::bench]
fn stack_repeatable(bencher: Bencher<'_, '_>) {
    let client = over(MethodPolicy::safe());
    bencher.bench_local(|| call(client.clone()).now_or_never().expect("it is instantaneous"));
}

/// A call that is sent once.
#[divan::bench]
fn stack_once(bencher: Bencher<'_, '_>) {
    let client = over(MethodPolicy::default().attempts(1));
    bencher.bench_local(|| call(client.clone()).now_or_never().expect("it is instantaneous"));
}

#[divan::bench]
fn loopback_channel(bencher: Bencher<'_, '_>) {
    let (server, address) = serve();
    #[expect(clippy::disallowed_methods, reason = "it is what this is compared with")]
    let channel = {
        let _runtime = server.enter();
        let uri = format!("http://{address}");
        tonic::transport::Endpoint::from_shared(uri).expect("it is one").connect_lazy()
    };
    let client = local();
    bencher.bench_local(|| client.block_on(call(channel.clone())));
}

#[divan::bench]
fn loopback_stack(bencher: Bencher<'_, '_>) {
    let (server, address) = serve();
    let fleet = Fleet::builder("stock").addresses([address]).build().expect("it is good");
    let policies = PolicyTable::default().method(PATH, MethodPolicy::safe());
    let stack =
        Client::builder("stock").policies(policies).fleet(fleet).build().expect("it is good");
    // As the channel, whose connection belongs to the runtime that it is made in.
    server.block_on(call(stack.clone()));
    let client = local();
    bencher.bench_local(|| client.block_on(call(stack.clone())));
}

fn local() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it can be made")
}

/// A server in threads of its own.
fn serve() -> (Runtime, SocketAddr) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("it can be made");
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("there is a port");
    let address = listener.local_addr().expect("it is bound");
    runtime.handle().clone().spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let handle = service_fn(|request: Request<hyper::body::Incoming>| async {
                request.into_body().collect().await?;
                Ok::<_, hyper::Error>(Response::new(Answer::Message))
            });
            let connection = http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), handle);
            connections.spawn(connection);
        }
    });
    (runtime, address)
}
