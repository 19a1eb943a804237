//! Signs of life of a call that sends a stream.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use crate::core::clock::{Clock, Time};

/// When the last piece of a request's body was taken. Clones are one.
#[derive(Clone, Debug)]
pub(super) struct Pulse(Arc<AtomicU64>);

/// A request's body whose every piece is a sign of life.
#[derive(Debug)]
struct Beating {
    inner: Body,
    pulse: Pulse,
    clock: Arc<dyn Clock>,
}

impl Pulse {
    /// Feels the pulse of `body`, which has to be sent in the place of the given one.
    pub(super) fn of(body: Body, clock: &Arc<dyn Clock>) -> (Body, Self) {
        let pulse = Self(Arc::new(AtomicU64::new(clock.now().as_nanos())));
        let beating = Beating { inner: body, pulse: pulse.clone(), clock: Arc::clone(clock) };
        (Body::new(beating), pulse)
    }

    pub(super) fn last(&self) -> Time {
        // The moment stands for itself; nothing else is read by it.
        Time::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

impl http_body::Body for Beating {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if polled.is_ready() {
            self.pulse.0.store(self.clock.now().as_nanos(), Ordering::Relaxed);
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
