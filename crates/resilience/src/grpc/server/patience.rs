//! Calls without a deadline are only kept from hanging.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::core::clock::nanos;

/// The last sign of life of a request's body.
#[derive(Clone, Debug)]
pub(super) struct Pulse(Arc<Beats>);

#[derive(Debug)]
struct Beats {
    first: Instant,
    /// Nanoseconds from the first to the last.
    last: AtomicU64,
}

pin_project! {
    /// The body of a request, as it is handed on to the service.
    ///
    /// If the caller set no deadline, each of its pieces is a sign of life.
    #[derive(Debug)]
    pub struct Watched<B> {
        #[pin]
        inner: B,
        pulse: Option<Pulse>,
    }
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self(Arc::new(Beats { first: Instant::now(), last: AtomicU64::new(0) }))
    }

    /// Ends when there was no sign for as long as `patience`.
    pub(super) async fn lost(&self, patience: Duration) {
        loop {
            let limit = self.last() + patience;
            if limit <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(limit).await;
        }
    }

    fn beat(&self) {
        self.0.last.store(nanos(self.0.first.elapsed()), Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.0.first + Duration::from_nanos(self.0.last.load(Ordering::Relaxed))
    }
}

impl<B> Watched<B> {
    pub(super) fn new(inner: B, pulse: Option<Pulse>) -> Self {
        Self { inner, pulse }
    }
}

impl<B: Body> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let polled = this.inner.poll_frame(cx);
        if let (Poll::Ready(_), Some(pulse)) = (&polled, this.pulse) {
            pulse.beat();
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
