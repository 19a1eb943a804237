//! A service made of a function, and what its answers say.

use std::convert::Infallible;
use std::future::Future;

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt as _};
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::util::BoxCloneSyncService;
use tower::{Layer as _, ServiceExt as _};

use crate::grpc::server::{ResponseBody, ServerLayer, Watched};

pub(super) type Answer = Response<ResponseBody<Body>>;
type Incoming = Request<Watched<Body>>;

pub(super) const PATH: &str = "/test.Probe/Call";

pub(super) fn server() -> ServerLayer {
    ServerLayer::builder("test").build().unwrap()
}

pub(super) fn request(path: &str, headers: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = Request::post(path).header("content-type", "application/grpc");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

/// Answers `request` with what `handler` says.
pub(super) fn answer<H, F>(
    layer: &ServerLayer,
    request: Request<Body>,
    handler: H,
) -> impl Future<Output = Answer> + Send + use<H, F>
where
    H: Fn(Incoming) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let answer = kept(layer, handler).oneshot(request);
    async move {
        let Ok(answer) = answer.await;
        answer
    }
}

/// As a service that can be kept.
pub(super) fn kept<H, F>(
    layer: &ServerLayer,
    handler: H,
) -> BoxCloneSyncService<Request<Body>, Answer, Infallible>
where
    H: Fn(Incoming) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let service = tower::service_fn(move |request| {
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    BoxCloneSyncService::new(layer.layer(service))
}

/// A body of frames.
pub(super) fn frames(frames: impl Stream<Item = Frame<Bytes>> + Send + 'static) -> Response<Body> {
    Response::new(Body::new(StreamBody::new(frames.map(Ok::<_, Infallible>))))
}

pub(super) fn message() -> Frame<Bytes> {
    Frame::data(Bytes::from_static(&[0; 5]))
}

pub(super) fn trailers(code: Code) -> Frame<Bytes> {
    let status = HeaderMap::from_iter([("grpc-status".parse().unwrap(), (code as i32).into())]);
    Frame::trailers(status)
}

/// A message and a status, as of a unary call.
pub(super) fn unary(code: Code) -> Response<Body> {
    frames(stream::iter([message(), trailers(code)]))
}

/// A status in the head, as of a unary call that failed.
pub(super) fn failed(code: Code) -> Response<Body> {
    Status::new(code, "as asked").into_http()
}

/// All headers and trailers of an answer.
pub(super) async fn metadata(answer: Answer) -> HeaderMap {
    let (head, body) = answer.into_parts();
    let mut metadata = head.headers;
    metadata.extend(body.collect().await.unwrap().trailers().cloned().unwrap_or_default());
    metadata
}
