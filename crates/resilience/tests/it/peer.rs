//! A peer in this process that does what a test says, and remembers what it was asked.

use std::future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt as _};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Service, ServiceExt as _};
use trellis_resilience::core::{breaker, throttle};
use trellis_resilience::grpc::client::{Builder, Client, Peer as Peered};
use trellis_resilience::policy::{MethodPolicy, PolicyTable};

pub(crate) const MS: Duration = Duration::from_millis(1);

pub(crate) type Answer = Result<Response<Body>, tower::BoxError>;

/// Clones are one.
#[derive(Clone)]
pub(crate) struct Peer(Arc<Shared>);

struct Shared {
    answer: Box<dyn Fn(usize) -> BoxFuture<'static, Answer> + Send + Sync>,
    seen: Mutex<Vec<Seen>>,
    running: AtomicUsize,
    cancelled: AtomicUsize,
}

/// An attempt that is being answered.
struct Running {
    shared: Arc<Shared>,
    is_done: bool,
}

/// An attempt, as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Peer {
    /// Answers the attempt number `n`, counted from zero, with `answer(n)`.
    pub(crate) fn new<F>(answer: impl Fn(usize) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        Self(Arc::new(Shared {
            answer: Box::new(move |n| answer(n).boxed()),
            seen: Mutex::default(),
            running: AtomicUsize::new(0),
            cancelled: AtomicUsize::new(0),
        }))
    }

    /// Answers at once.
    pub(crate) fn at_once(answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Self {
        Self::new(move |n| future::ready(answer(n)))
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.0.seen.lock().unwrap()
    }

    pub(crate) fn attempts(&self) -> usize {
        self.seen().len()
    }

    /// The time between each attempt and the next.
    pub(crate) fn gaps(&self) -> Vec<Duration> {
        self.seen().windows(2).map(|pair| pair[1].at - pair[0].at).collect()
    }

    /// Attempts that are not answered yet.
    pub(crate) fn running(&self) -> usize {
        self.0.running.load(Ordering::SeqCst)
    }

    /// Attempts that were given up before they were answered.
    pub(crate) fn cancelled(&self) -> usize {
        self.0.cancelled.load(Ordering::SeqCst)
    }
}

impl Service<Request<Body>> for Peer {
    type Response = Response<Body>;
    type Error = tower::BoxError;
    type Future = BoxFuture<'static, Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), tower::BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        let at = Instant::now();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let n = {
                let mut seen = shared.seen.lock().unwrap();
                seen.push(Seen { at, headers: parts.headers, body });
                seen.len() - 1
            };
            let mut running = Running::begin(&shared);
            let answer = (shared.answer)(n).await;
            running.is_done = true;
            answer
        }
        .boxed()
    }
}

impl Running {
    fn begin(shared: &Arc<Shared>) -> Self {
        shared.running.fetch_add(1, Ordering::SeqCst);
        Self { shared: Arc::clone(shared), is_done: false }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.running.fetch_sub(1, Ordering::SeqCst);
        self.shared.cancelled.fetch_add(usize::from(!self.is_done), Ordering::SeqCst);
    }
}

/// Only retries decide: neither breaker nor throttle ever says no.
pub(crate) fn only_retries(builder: Builder<()>) -> Builder<()> {
    let lenient = throttle::Settings { at_least_per_second: f64::MAX, ..Default::default() };
    builder.breaker(never_open()).throttle(lenient)
}

pub(crate) fn never_open() -> breaker::Settings {
    breaker::Settings {
        consecutive_failures: None,
        failure_rate: None,
        slow_rate: None,
        ..Default::default()
    }
}

/// All methods have one policy.
pub(crate) fn all(policy: MethodPolicy) -> PolicyTable {
    PolicyTable::new(policy)
}

/// A client with one policy, whose breaker and throttle never say no.
pub(crate) fn client_of(
    peer: &Peer,
    policy: MethodPolicy,
) -> Client<trellis_resilience::grpc::client::Over<Peer>> {
    only_retries(Client::builder("peer")).policies(all(policy)).over(peer.clone()).build().unwrap()
}

/// The request of a unary call, and of a stream that consists of one message.
pub(crate) fn request(message: &[u8]) -> Request<Body> {
    request_with(Body::new(http_body_util::Full::new(framed(message))))
}

pub(crate) fn request_with(body: Body) -> Request<Body> {
    Request::post("http://peer/shop.Stock/Get")
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        .body(body)
        .unwrap()
}

/// Makes a call and reads its response to the end, as generated code would.
pub(crate) async fn call<P: Peered>(client: &Client<P>) -> Result<Bytes, Status> {
    send(client, request(b"hello")).await
}

pub(crate) async fn send<P: Peered>(
    client: &Client<P>,
    request: Request<Body>,
) -> Result<Bytes, Status> {
    read(client.clone().oneshot(request).await?).await
}

/// Reads a response to its end.
pub(crate) async fn read(response: Response<Body>) -> Result<Bytes, Status> {
    let (parts, body) = response.into_parts();
    said(&parts.headers)?;
    let whole = body.collect().await?;
    whole.trailers().map(said).transpose()?;
    Ok(whole.to_bytes())
}

fn said(headers: &HeaderMap) -> Result<(), Status> {
    match Status::from_header_map(headers) {
        Some(status) if status.code() != Code::Ok => Err(status),
        _ => Ok(()),
    }
}

pub(crate) fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat().into()
}

/// A response with one message, and OK in its trailers.
#[expect(clippy::unnecessary_wraps, reason = "all answers have one type")]
pub(crate) fn ok() -> Answer {
    Ok(streamed([Ok(Frame::data(framed(b"world"))), trailers(Code::Ok)]))
}

/// A response that is only an error, in its head.
#[expect(clippy::unnecessary_wraps, reason = "all answers have one type")]
pub(crate) fn refusal(code: Code) -> Answer {
    Ok(Status::new(code, "refused").into_http())
}

/// The same with a word about the next attempt, or with several.
#[expect(clippy::unnecessary_wraps, reason = "all answers have one type")]
pub(crate) fn pushing_back(code: Code, pushback: &[&str]) -> Answer {
    let mut response = Status::new(code, "later").into_http::<Body>();
    for value in pushback {
        let value = HeaderValue::from_str(value).unwrap();
        response.headers_mut().append(HeaderName::from_static("grpc-retry-pushback-ms"), value);
    }
    Ok(response)
}

pub(crate) type Piece = Result<Frame<Bytes>, Status>;

#[expect(clippy::unnecessary_wraps, reason = "all pieces have one type")]
pub(crate) fn trailers(code: Code) -> Piece {
    let code = HeaderValue::from(code as i32);
    Ok(Frame::trailers(HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), code)])))
}

pub(crate) fn streamed<I>(pieces: I) -> Response<Body>
where
    I: IntoIterator<Item = Piece>,
    I::IntoIter: Send + 'static,
{
    let body = StreamBody::new(futures::stream::iter(pieces));
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}
