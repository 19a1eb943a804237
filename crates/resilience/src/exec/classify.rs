//! What the end of a closure says, for those who know its types.

use crate::core::outcome::{FailureKind, Health, RetrySafety, Verdict};
use tonic::Code;

/// Says what the end of one attempt means.
///
/// A type of one's own can do so for every `T` at once, as in
/// `impl<T> Classifier<T, sqlx::Error> for Sql`; [`by_error`] makes such a one of a
/// closure. A closure over the whole result is one for its own types.
pub trait Classifier<T, E> {
    /// It is asked once for each attempt that ended by itself, and must be quick.
    fn classify(&self, result: Result<&T, &E>) -> Verdict;
}

/// Every error is a failure of the server, and what may be repeated is.
#[derive(Clone, Copy, Debug, Default)]
pub struct EveryError;

/// Asks a closure about errors; everything else is a success.
#[derive(Clone, Copy, Debug)]
pub struct ByError<F>(F);

/// Every error is what `verdict` says, and everything else is a success.
pub const fn by_error<E, F: Fn(&E) -> Verdict>(verdict: F) -> ByError<F> {
    ByError(verdict)
}

impl<T, E> Classifier<T, E> for EveryError {
    fn classify(&self, result: Result<&T, &E>) -> Verdict {
        match result {
            Ok(_) => Verdict::SUCCESS,
            Err(_) => Verdict::failure(FailureKind::Server, RetrySafety::IfIdempotent),
        }
    }
}

impl<T, E, F: Fn(&E) -> Verdict> Classifier<T, E> for ByError<F> {
    fn classify(&self, result: Result<&T, &E>) -> Verdict {
        result.map_or_else(&self.0, |_| Verdict::SUCCESS)
    }
}

impl<T, E, F: Fn(Result<&T, &E>) -> Verdict> Classifier<T, E> for F {
    fn classify(&self, result: Result<&T, &E>) -> Verdict {
        self(result)
    }
}

/// What an error that chaos put in place of an answer would say if it were one.
pub(super) const fn injected(code: Code) -> Verdict {
    match code {
        Code::Unavailable => Verdict::failure(FailureKind::Server, RetrySafety::IfIdempotent),
        Code::DeadlineExceeded | Code::Cancelled => {
            Verdict::failure(FailureKind::Timeout, RetrySafety::IfIdempotent)
        }
        Code::Internal | Code::DataLoss | Code::Unknown => {
            Verdict::failure(FailureKind::Server, RetrySafety::Never)
        }
        Code::ResourceExhausted => Verdict::new(Health::Degraded, RetrySafety::Never),
        _ => Verdict::SUCCESS,
    }
}
