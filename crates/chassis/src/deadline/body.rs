//! Bodies that know of time.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tonic::Status;

use super::{Pulse, exceeded};

/// A response's body that ends at a deadline.
#[derive(Debug)]
pub(crate) struct Until<B> {
    inner: B,
    deadline: Pin<Box<Sleep>>,
    ending: Ending,
    ended: bool,
}

/// How a body says that it was cut.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    /// As a server does: with the trailers of a gRPC response.
    Trailers,
    /// As a client sees it: the transport failed.
    Error,
}

/// A request's body whose every piece is a sign of life.
#[derive(Debug)]
pub(crate) struct Touching<B> {
    inner: B,
    pulse: Pulse,
}

impl<B> Until<B> {
    pub(crate) fn new(inner: B, deadline: Instant, ending: Ending) -> Self {
        let deadline = Box::pin(tokio::time::sleep_until(deadline));
        Self { inner, deadline, ending, ended: false }
    }
}

impl<B> Touching<B> {
    pub(crate) fn new(inner: B, pulse: Pulse) -> Self {
        Self { inner, pulse }
    }
}

impl<B> Body for Until<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<tonic::codegen::StdError>,
{
    type Data = Bytes;
    type Error = tonic::codegen::StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        // The deadline first: a stream that always has a piece ready must end, too.
        if self.deadline.as_mut().poll(cx).is_ready() {
            self.ended = true;
            return Poll::Ready(Some(self.ending.frame()));
        }
        Pin::new(&mut self.inner).poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }
}

impl Ending {
    fn frame(self) -> Result<Frame<Bytes>, tonic::codegen::StdError> {
        let status = exceeded();
        match self {
            Self::Error => Err(status.into()),
            Self::Trailers => {
                let mut trailers = HeaderMap::new();
                status.add_header(&mut trailers).map_err(Box::<Status>::from)?;
                Ok(Frame::trailers(trailers))
            }
        }
    }
}

impl<B> Body for Touching<B>
where
    B: Body + Unpin,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if polled.is_ready() {
            self.pulse.touch();
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
