//! How what a caller must see travels with its calls, on either road.
//!
//! A call carries the tokens of the call that it is made for; its answer carries what has
//! come to them meanwhile, in its head. What a stream does after its head is seen by
//! nobody.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tonic::Status;
use tower::Service;
use trellis_consistency::{METADATA, Tokens, context};

const HEADER: HeaderName = HeaderName::from_static(METADATA);

/// What whoever made a call must see. A text that makes no sense asks for nothing.
pub(crate) fn heard(headers: &HeaderMap) -> Tokens {
    let text = headers.get(HEADER).and_then(|value| value.to_str().ok());
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// Tells `tokens` with a call or with its answer.
pub(crate) fn tell(headers: &mut HeaderMap, tokens: &Tokens) {
    if let Ok(value) = HeaderValue::try_from(tokens.to_string()) {
        headers.insert(HEADER, value);
    }
}

/// A client that tells its peer what must be seen, and takes in what the peer tells.
#[derive(Clone, Debug)]
pub(crate) struct Consistent<S>(pub(crate) S);

impl<S, B, R> Service<Request<B>> for Consistent<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Status>,
{
    type Response = Response<R>;
    type Error = Status;
    type Future = ConsistentFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let tokens = context::current();
        if !tokens.is_empty() {
            tell(request.headers_mut(), &tokens);
        }
        ConsistentFuture { inner: self.0.call(request) }
    }
}

pin_project! {
    /// The answer to a call that carries tokens.
    #[derive(Debug)]
    pub(crate) struct ConsistentFuture<F> {
        #[pin]
        inner: F,
    }
}

impl<R, F: Future<Output = Result<Response<R>, Status>>> Future for ConsistentFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let answer = ready!(self.project().inner.poll(cx));
        match &answer {
            Ok(response) => context::merge(&heard(response.headers())),
            Err(status) => context::merge(&heard(status.metadata().as_ref())),
        }
        Poll::Ready(answer)
    }
}
