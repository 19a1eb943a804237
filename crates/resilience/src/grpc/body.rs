//! The bodies of requests, as attempts send them.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

/// The body of one attempt.
#[derive(Debug)]
pub enum RequestBody {
    /// All of it, which can be sent again. `None` once it was sent.
    Whole(Option<Bytes>),
    /// What was read ahead, and then the rest. It can be sent once.
    Streamed { ahead: std::collections::VecDeque<Frame<Bytes>>, rest: Body },
}

impl RequestBody {
    pub fn whole(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }

    pub fn streamed(body: Body) -> Self {
        Self::Streamed { ahead: std::collections::VecDeque::new(), rest: body }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Streamed { ahead, rest } => match ahead.pop_front() {
                Some(frame) => Poll::Ready(Some(Ok(frame))),
                None => Pin::new(rest).poll_frame(cx),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Streamed { ahead, rest } => ahead.is_empty() && rest.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Streamed { ahead, rest } if ahead.is_empty() => rest.size_hint(),
            Self::Streamed { .. } => SizeHint::default(),
        }
    }
}

impl From<RequestBody> for Body {
    fn from(body: RequestBody) -> Self {
        Self::new(body)
    }
}
