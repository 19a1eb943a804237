//! Chaos on the side of a server: so that one instance can be bad while the others of
//! its target are well.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt as _;
use futures::TryFutureExt as _;
use futures::future::{BoxFuture, Either, MapOk};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use tonic::Status;
use tower_layer::Layer;
use tower_service::Service;

use super::{Chaos, Fault};
use crate::core::random::Random;

/// Puts chaos in front of handlers. What a fault does to a call, its caller sees as the
/// same fault on the way would look.
#[derive(Clone, Debug)]
pub struct ChaosLayer {
    chaos: Arc<Chaos>,
    target: Arc<str>,
    random: Arc<Random>,
}

/// A service of which some calls go wrong on purpose.
#[derive(Clone, Debug)]
pub struct Chaotic<S> {
    inner: S,
    layer: ChaosLayer,
}

/// The body of a response, if nothing went wrong on purpose.
#[derive(Debug, Default)]
pub enum Struck<R> {
    Untouched(R),
    /// Empty.
    #[default]
    Nothing,
    /// It fails, so that the stream is reset.
    Reset,
}

/// What a stream is reset with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fault on purpose")]
pub struct OnPurpose;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Answer<R> = Result<Response<Struck<R>>, Infallible>;
type Untouched<F, R> = MapOk<F, fn(Response<R>) -> Response<Struck<R>>>;

impl ChaosLayer {
    /// Rules strike here if their target is `target`.
    pub fn new(chaos: Arc<Chaos>, target: impl Into<Arc<str>>, random: Arc<Random>) -> Self {
        Self { chaos, target: target.into(), random }
    }
}

impl<S> Layer<S> for ChaosLayer {
    type Service = Chaotic<S>;

    fn layer(&self, inner: S) -> Chaotic<S> {
        Chaotic { inner, layer: self.clone() }
    }
}

impl<S, B, R> Service<Request<B>> for Chaotic<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
    S::Future: Send + 'static,
    R: Send + 'static,
{
    type Response = Response<Struck<R>>;
    type Error = Infallible;
    type Future = Either<Untouched<S::Future, R>, BoxFuture<'static, Answer<R>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let ChaosLayer { chaos, target, random } = &self.layer;
        let Some(fault) = chaos.strike(target, request.uri().path(), random) else {
            return Either::Left(self.inner.call(request).map_ok(untouched));
        };
        let answer = match fault {
            Fault::Latency(delay) => {
                let answer = self.inner.call(request).map_ok(untouched);
                async move {
                    tokio::time::sleep(delay).await;
                    answer.await
                }
                .boxed()
            }
            Fault::Error(code) => {
                let answer = Status::new(code, OnPurpose.to_string()).into_http();
                std::future::ready(Ok(answer)).boxed()
            }
            Fault::Hang => std::future::pending().boxed(),
            Fault::Reset => std::future::ready(Ok(Response::new(Struck::Reset))).boxed(),
            Fault::DropResponse => {
                self.inner.call(request).map_ok(|_| Response::new(Struck::Reset)).boxed()
            }
        };
        Either::Right(answer)
    }
}

fn untouched<R>(response: Response<R>) -> Response<Struck<R>> {
    response.map(Struck::Untouched)
}

impl<R> Body for Struck<R>
where
    R: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::Untouched(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Nothing => Poll::Ready(None),
            Self::Reset => {
                *self = Self::Nothing;
                Poll::Ready(Some(Err(OnPurpose.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Untouched(body) => body.is_end_stream(),
            Self::Nothing => true,
            Self::Reset => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Untouched(body) => body.size_hint(),
            Self::Nothing => SizeHint::with_exact(0),
            Self::Reset => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use http_body_util::{BodyExt as _, Full};
    use tokio::time::Instant;
    use tonic::Code;

    use super::super::{Effect, Rule};
    use super::*;
    use crate::Environment;

    /// Counts its calls and answers "well".
    #[derive(Clone, Debug, Default)]
    struct Handler(Arc<AtomicU32>);

    impl Service<Request<()>> for Handler {
        type Response = Response<Full<Bytes>>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Response<Full<Bytes>>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<()>) -> Self::Future {
            self.0.fetch_add(1, Ordering::Relaxed);
            std::future::ready(Ok(Response::new(Full::from("well"))))
        }
    }

    fn server(effect: Option<Effect>) -> (Chaotic<Handler>, Handler) {
        let environment = Environment::tokio();
        let chaos = Arc::new(Chaos::new(&environment));
        chaos.set(effect.map(Rule::new).into_iter().collect()).unwrap();
        let handler = Handler::default();
        let layer = ChaosLayer::new(chaos, "server", environment.random);
        (layer.layer(handler.clone()), handler)
    }

    async fn call(effect: Option<Effect>) -> (Response<Struck<Full<Bytes>>>, u32) {
        let (mut server, handler) = server(effect);
        let response = server.call(Request::new(())).await.unwrap();
        (response, handler.0.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn without_rules_a_call_is_untouched() {
        let (response, calls) = call(None).await;

        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "well");
        assert_eq!(calls, 1);
    }

    #[tokio::test]
    async fn an_error_is_answered_and_the_handler_does_not_run() {
        let (response, calls) = call(Some(Effect::Error(Code::Unavailable))).await;

        assert_eq!(response.headers()["grpc-status"], "14");
        assert_eq!(calls, 0);
    }

    #[tokio::test]
    async fn a_dropped_response_was_processed_and_ends_in_a_reset() {
        let (reset, calls) = call(Some(Effect::Reset)).await;
        reset.into_body().collect().await.unwrap_err();
        assert_eq!(calls, 0);

        let (dropped, calls) = call(Some(Effect::DropResponse)).await;
        dropped.into_body().collect().await.unwrap_err();
        assert_eq!(calls, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn latency_comes_before_the_answer_and_a_hang_has_none() {
        let start = Instant::now();
        let (response, _) = call(Some(Effect::latency(Duration::from_secs(2)))).await;
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "well");
        assert_eq!(start.elapsed().as_secs(), 2);

        let hang = call(Some(Effect::Hang));
        tokio::time::timeout(Duration::from_hours(1), hang).await.unwrap_err();
    }
}
