//! The bodies of answers.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use smallvec::SmallVec;
use tokio::time::{Instant, Sleep};
use tonic::{Code, Status};

use super::gate::Pass;
use super::panics;
use crate::core::limit::Sample;
use crate::core::outcome::Pushback;
use crate::grpc::headers::PUSHBACK;
use crate::grpc::status;

/// The body of an answer: that of the service, or what the server says in its place.
pub struct ResponseBody<R: Body<Data = Bytes>>(Kind<R>);

enum Kind<R: Body<Data = Bytes>> {
    /// What is not gRPC is left alone.
    Untouched(R),
    Said(Option<Bytes>),
    Call(Call<R>),
}

/// The body of a call's answer, up to its status.
pub(super) struct Call<R: Body<Data = Bytes>> {
    /// `None` once it has ended or was cut.
    inner: Option<R>,
    /// What was read before anyone asked for it.
    ahead: SmallVec<[Result<Frame<Bytes>, R::Error>; AHEAD]>,
    deadline: Option<Pin<Box<Sleep>>>,
    /// What the call holds while it runs.
    pass: Option<Pass>,
    /// Whether calls made for this one used up their retries.
    is_exhausted: bool,
}

/// The answer to a unary call: a message and its status.
const AHEAD: usize = 2;

impl<R: Body<Data = Bytes> + Unpin> ResponseBody<R> {
    pub(super) fn untouched(inner: R) -> Self {
        Self(Kind::Untouched(inner))
    }

    pub(super) fn said(text: Bytes) -> Self {
        Self(Kind::Said(Some(text).filter(|text| !text.is_empty())))
    }

    pub(super) fn call(call: Call<R>) -> Self {
        Self(Kind::Call(call))
    }
}

impl<R: Body<Data = Bytes> + Unpin> Call<R> {
    pub(super) fn new(inner: R, pass: Option<Pass>, is_exhausted: bool) -> Self {
        let ahead = SmallVec::new();
        Self { inner: Some(inner), ahead, deadline: None, pass, is_exhausted }
    }

    /// The head of the answer has the status already.
    pub(super) fn settle(&mut self, code: Code, headers: &mut HeaderMap) {
        self.stop_amplification(code, headers);
        self.leave(Some(code));
    }

    /// It no longer counts as in flight.
    pub(super) fn release(&mut self) {
        if let Some(pass) = self.pass.take() {
            pass.finish(Sample::Ignored);
        }
    }

    /// Takes what is there already. The answer to a unary call is there as a whole, so
    /// the call has ended, however slowly its caller reads.
    pub(super) fn read_ahead(&mut self, cx: &mut Context<'_>) {
        while self.ahead.len() < AHEAD {
            match self.next(cx) {
                Poll::Ready(Some(frame)) => self.ahead.push(frame),
                Poll::Ready(None) | Poll::Pending => return,
            }
        }
    }

    /// From now on, it ends at `deadline`.
    pub(super) fn limit(&mut self, deadline: Instant) {
        if self.inner.is_some() {
            self.deadline = Some(Box::pin(tokio::time::sleep_until(deadline)));
        }
    }

    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        // The deadline first: a stream that always has a piece ready must end, too.
        if self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Some(Ok(self.cut(&status::deadline_exceeded()))));
        }
        match catch_unwind(AssertUnwindSafe(|| Pin::new(inner).poll_frame(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(frame)) => Poll::Ready(self.passed(frame)),
            Err(panic) => {
                panics::log(panic.as_ref(), "response body");
                self.release();
                Poll::Ready(Some(Ok(self.cut(&status::internal()))))
            }
        }
    }

    fn passed(
        &mut self,
        mut frame: Option<Result<Frame<Bytes>, R::Error>>,
    ) -> Option<Result<Frame<Bytes>, R::Error>> {
        match &mut frame {
            None => self.leave(None),
            Some(Err(_)) => {
                self.release();
                self.inner = None;
            }
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    let code = code(trailers);
                    self.stop_amplification(code.unwrap_or(Code::Unknown), trailers);
                    self.leave(code);
                } else if self.inner.as_ref().is_some_and(Body::is_end_stream) {
                    self.leave(None);
                }
            }
        }
        frame
    }

    /// Ends it with `status`, whatever the service would still have said.
    fn cut(&mut self, status: &Status) -> Frame<Bytes> {
        let inner = self.inner.take();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(inner))) {
            panics::log(panic.as_ref(), "response body");
        }
        self.pass = None;
        let mut trailers = HeaderMap::new();
        status.add_header(&mut trailers).expect("what this crate says are headers");
        Frame::trailers(trailers)
    }

    /// It has ended, with `code` if it said so.
    fn leave(&mut self, code: Option<Code>) {
        self.inner = None;
        self.deadline = None;
        let pass = self.pass.take();
        match code {
            Some(Code::Ok) | None => finish(pass, Sample::Completed),
            // Something that this call waited for took too long, or was given too
            // little time: the time it took tells which.
            Some(Code::DeadlineExceeded) => drop(pass),
            // A refusal is quick, and a breaker's is quicker than any work.
            Some(_) => finish(pass, Sample::Ignored),
        }
    }

    fn stop_amplification(&self, code: Code, headers: &mut HeaderMap) {
        if self.is_exhausted && code == Code::Unavailable {
            headers.insert(PUSHBACK, status::pushback_value(Pushback::Stop));
        }
    }
}

impl<R: Body<Data = Bytes> + Unpin> Body for ResponseBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        match &mut self.0 {
            Kind::Untouched(inner) => Pin::new(inner).poll_frame(cx),
            Kind::Said(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Kind::Call(call) if call.ahead.is_empty() => call.next(cx),
            Kind::Call(call) => Poll::Ready(Some(call.ahead.remove(0))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Untouched(inner) => inner.is_end_stream(),
            Kind::Said(text) => text.is_none(),
            Kind::Call(call) => {
                call.ahead.is_empty() && call.inner.as_ref().is_none_or(Body::is_end_stream)
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Untouched(inner) => inner.size_hint(),
            Kind::Said(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            // It may be cut at any time.
            Kind::Call(_) => SizeHint::default(),
        }
    }
}

// Only the inner body is ever pinned.
impl<R: Body<Data = Bytes> + Unpin> Unpin for ResponseBody<R> {}

impl<R: Body<Data = Bytes>> fmt::Debug for ResponseBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}

/// The status in the headers or the trailers of an answer.
pub(super) fn code(headers: &HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|value| Code::from_bytes(value.as_bytes()))
}

fn finish(pass: Option<Pass>, sample: Sample) {
    if let Some(pass) = pass {
        pass.finish(sample);
    }
}
