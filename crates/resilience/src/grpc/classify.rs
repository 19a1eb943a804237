//! What the end of an attempt says about its peer, and about trying again.
//!
//! It is read from HTTP and not from a [`tonic::Status`], which can no longer
//! tell a peer that answers UNKNOWN from a connection that died. A peer can write what
//! it likes: nothing here panics, and what cannot be understood counts against it.

mod pushback;

use std::error::Error;
use std::io;

use http::{HeaderMap, HeaderName, StatusCode};
use tonic::{Code, Status};

use crate::core::outcome::{FailureKind, Health, Pushback, RetrySafety, Verdict};
use crate::net::SendError;

pub use pushback::disarm;

const CODE: HeaderName = HeaderName::from_static("grpc-status");

/// How a peer answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub code: Code,
    pub verdict: Verdict,
}

/// Reads the head of a response. `None`: it is only the beginning, and its trailers
/// will tell.
pub fn head(status: StatusCode, headers: &HeaderMap) -> Option<Answer> {
    if let Some(answer) = answer(headers) {
        return Some(answer);
    }
    if status == StatusCode::OK {
        return None;
    }
    let code = code_of(status);
    let pushback = pushback::of_http(headers);
    let verdict = match status {
        StatusCode::TOO_MANY_REQUESTS => degraded(pushback),
        _ => verdict(code, pushback),
    };
    Some(Answer { code, verdict })
}

/// Reads the end of a response whose head was no answer. `None`: it has no trailers,
/// which is no end at all.
pub fn end(trailers: Option<&HeaderMap>) -> Answer {
    let unfinished = || Answer {
        code: Code::Unknown,
        verdict: Verdict::failure(FailureKind::Protocol, RetrySafety::IfIdempotent),
    };
    trailers.and_then(answer).unwrap_or_else(unfinished)
}

/// Reads what came as a status in the place of a response.
pub fn status(status: &Status) -> Answer {
    let headers = status.metadata().clone().into_headers();
    said(status.code(), &headers)
}

/// The judgement on an attempt that ended without an answer.
pub fn lost(kind: FailureKind) -> Verdict {
    let retry = match kind {
        FailureKind::Unsent => RetrySafety::Always,
        _ => RetrySafety::IfIdempotent,
    };
    Verdict::failure(kind, retry)
}

/// Whether the peer can have seen the request, as far as the causes of `error` say.
/// They are asked from the outermost to the first that is known.
pub fn kind_of(error: &(dyn Error + 'static)) -> FailureKind {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(known) = known_kind(error) {
            return known;
        }
        // An I/O error that carries another one does not name it as its source.
        let carried = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = carried.map_or_else(|| error.source(), |carried| Some(carried));
    }
    FailureKind::ConnectionLost
}

impl Answer {
    /// The same for a method of which INTERNAL may be tried again.
    #[must_use]
    pub const fn with_internal_retried(mut self) -> Self {
        if matches!(self.code, Code::Internal) {
            self.verdict.retry = RetrySafety::IfIdempotent;
        }
        self
    }
}

fn answer(headers: &HeaderMap) -> Option<Answer> {
    let code = super::lookup::get(headers, &CODE)?;
    Some(said(Code::from_bytes(code.as_bytes()), headers))
}

fn said(code: Code, headers: &HeaderMap) -> Answer {
    let verdict = match code {
        Code::Ok => Verdict::SUCCESS,
        _ => verdict(code, pushback::of_grpc(headers)),
    };
    Answer { code, verdict }
}

/// The judgement on a status that the peer itself gave.
fn verdict(code: Code, pushback: Option<Pushback>) -> Verdict {
    let server = Health::Failure(FailureKind::Server);
    let verdict = match code {
        Code::Unavailable => Verdict::new(server, RetrySafety::IfIdempotent),
        // That it was CANCELLED can only be the peer's doing: a caller that gives up
        // does not wait for the answer.
        Code::DeadlineExceeded | Code::Cancelled => lost(FailureKind::Timeout),
        Code::Internal | Code::DataLoss | Code::Unknown => Verdict::new(server, RetrySafety::Never),
        Code::ResourceExhausted => return degraded(pushback),
        // The rest is about the request and not about the peer; a caller that wants to
        // repeat what was ABORTED has to read its data again first.
        _ => Verdict::SUCCESS,
    };
    verdict.with_pushback(pushback)
}

/// It has too much to do, so it is only asked again if it says when.
fn degraded(pushback: Option<Pushback>) -> Verdict {
    let retry = match pushback {
        Some(Pushback::After(_)) => RetrySafety::IfIdempotent,
        Some(Pushback::Stop) | None => RetrySafety::Never,
    };
    Verdict::new(Health::Degraded, retry).with_pushback(pushback)
}

/// What an answer that is not gRPC's means, from a proxy on the way for instance
/// (gRPC, "HTTP to gRPC Status Code Mapping").
fn code_of(status: StatusCode) -> Code {
    match status {
        StatusCode::BAD_REQUEST => Code::Internal,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::Unimplemented,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Code::Unavailable,
        _ => Code::Unknown,
    }
}

fn known_kind(error: &(dyn Error + 'static)) -> Option<FailureKind> {
    if let Some(error) = error.downcast_ref::<SendError>() {
        return Some(error.kind);
    }
    if error.is::<tonic::ConnectError>() {
        return Some(FailureKind::Unsent);
    }
    if error.is::<tonic::TimeoutExpired>() {
        return Some(FailureKind::Timeout);
    }
    let error = error.downcast_ref::<hyper::Error>()?;
    error.is_canceled().then_some(FailureKind::Unsent)
}

#[cfg(test)]
mod tests;
