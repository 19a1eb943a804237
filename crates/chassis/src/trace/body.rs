//! The body of an answer, whose end is the end of the call.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

/// Hears how a call ends.
pub(crate) trait Ends {
    /// Headers or trailers, which may say how it ended.
    fn hear(&mut self, headers: &HeaderMap);

    /// The answer is out.
    fn end(&mut self);

    /// Is around all that is done for the call.
    fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        work()
    }
}

/// Passes an answer on to somebody, while `call` hears how it ends.
#[derive(Debug)]
pub(crate) struct Heard<B, C> {
    inner: B,
    call: C,
}

impl<B: Body, C: Ends> Heard<B, C> {
    pub(crate) fn new(inner: B, call: C) -> Self {
        let mut heard = Self { inner, call };
        heard.end_if_out();
        heard
    }

    /// Nobody need ask again for a body that says itself that nothing follows.
    fn end_if_out(&mut self) {
        if self.inner.is_end_stream() {
            self.call.end();
        }
    }
}

impl<B: Body + Unpin, C: Ends + Unpin> Body for Heard<B, C> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let Self { inner, call } = &mut *self;
        let polled = call.within(|| Pin::new(inner).poll_frame(cx));
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    self.call.hear(trailers);
                }
                self.end_if_out();
            }
            Poll::Ready(Some(Err(_)) | None) => self.call.end(),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
