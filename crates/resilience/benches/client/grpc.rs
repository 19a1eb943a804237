//! Over a service that answers at once with a message and OK. What generated code makes
//! of a message is made for every call, and all of the response is read.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use divan::Bencher;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full};
use tonic::body::Body;
use tower::{Service, ServiceExt as _};
use trellis_resilience::grpc::client::{Client, Over};
use trellis_resilience::policy::{MethodPolicy, PolicyTable};

use super::{SAMPLE, THREADS, finish};

pub(super) const PATH: &str = "/shop.Stock/Get";
pub(super) const MESSAGE: &[u8] = b"\0\0\0\0\x05hello";

#[divan::bench(threads = THREADS, sample_size = SAMPLE)]
fn bare(bencher: Bencher<'_, '_>) {
    bencher.bench(|| finish(call(Instantaneous)));
}

/// A call that may be repeated: what it needs for that is kept.
#[divan::bench(threads = THREADS, sample_size = SAMPLE)]
fn trellis_repeatable(bencher: Bencher<'_, '_>) {
    let client = over(MethodPolicy::safe());
    bencher.bench(|| finish(call(client.clone())));
}

/// A call that is sent once.
#[divan::bench(threads = THREADS, sample_size = SAMPLE)]
fn trellis_once(bencher: Bencher<'_, '_>) {
    let client = over(MethodPolicy::default().attempts(1));
    bencher.bench(|| finish(call(client.clone())));
}

fn over(policy: MethodPolicy) -> Client<Over<Instantaneous>> {
    let policies = PolicyTable::default()
        .method("/shop.Stock/Put", MethodPolicy::with_key())
        .method("/shop.Stock/List", MethodPolicy::safe())
        .method(PATH, policy);
    Client::builder("stock").policies(policies).over(Instantaneous).build().expect("it is good")
}

/// Makes a call and reads all of its response.
pub(super) async fn call<S, B>(mut service: S)
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

#[derive(Clone, Copy)]
struct Instantaneous;

/// A message, and the trailers.
pub(super) enum Answer {
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
