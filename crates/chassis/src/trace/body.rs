//! The body of an answer, whose end is the end of the call.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};

use super::Served;

/// Passes an answer on, and hears how it ends.
#[derive(Debug)]
pub(crate) struct Traced<B> {
    inner: B,
    served: Served,
}

impl<B: Body> Traced<B> {
    pub(crate) fn new(inner: B, served: Served) -> Self {
        let mut traced = Self { inner, served };
        traced.end_if_out();
        traced
    }

    /// Nobody need ask again for a body that says itself that nothing follows.
    fn end_if_out(&mut self) {
        if self.inner.is_end_stream() {
            self.served.end();
        }
    }
}

impl<B: Body + Unpin> Body for Traced<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = &mut *self;
        let entered = this.served.span.clone().entered();
        let polled = Pin::new(&mut this.inner).poll_frame(cx);
        drop(entered);
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    this.served.hear(trailers);
                }
                this.end_if_out();
            }
            Poll::Ready(Some(Err(_)) | None) => this.served.end(),
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
