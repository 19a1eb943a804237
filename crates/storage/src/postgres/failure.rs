//! What a server reports, without the values that it was about.

use std::sync::Arc;

use sqlx::postgres::PgDatabaseError;

use crate::{Cause, Error, answer};

/// What a server says of a statement that it refused. Its detail, which repeats values,
/// is not kept, nor its message where that does.
#[derive(Debug, thiserror::Error)]
#[error("{message} (SQLSTATE {code})")]
pub(crate) struct Refusal {
    code: Box<str>,
    message: Box<str>,
}

impl Refusal {
    /// The word for [`Error::Conflict`].
    pub(crate) const CONFLICT: &str = "conflict";
    /// The word for [`Error::Lost`].
    pub(crate) const LOST: &str = "lost";

    fn of(error: &PgDatabaseError) -> Self {
        let code = error.code();
        // Class 22 are values that do not fit, which its messages name.
        let message = if code.starts_with("22") { "a value does not fit" } else { error.message() };
        Self { code: code.into(), message: message.into() }
    }
}

/// Whether a server does not know how to do what it was asked for.
pub(super) fn is_unknown_feature(cause: &Cause) -> bool {
    cause.downcast_ref::<Refusal>().is_some_and(|refusal| &*refusal.code == "0A000")
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let error = match error {
            sqlx::Error::Database(error) => match error.try_downcast_ref::<PgDatabaseError>() {
                Some(error) => refused(error),
                None => Self::Statement(Arc::new(sqlx::Error::Database(error))),
            },
            sqlx::Error::PoolTimedOut => Self::Overloaded,
            sqlx::Error::PoolClosed => Self::Closed,
            error @ (sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed) => Self::Lost(Some(Arc::new(error))),
            error => Self::Statement(Arc::new(error)),
        };
        answer::note(&error);
        error
    }
}

/// By <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn refused(error: &PgDatabaseError) -> Error {
    let cause: Cause = Arc::new(Refusal::of(error));
    match error.code() {
        // Serialization failure, deadlock.
        "40001" | "40P01" => Error::Conflict(cause),
        // A lock that was not got in time, a statement that took too long.
        "55P03" | "57014" => Error::Busy(cause),
        // It became a replica, or its disk is to be spared.
        "25006" => Error::ReadOnly(Some(cause)),
        "53100" => Error::Full(cause),
        "53300" | "53400" => Error::Overloaded,
        "58030" => Error::Io(cause),
        // Ours, of a shard: a bucket is elsewhere, or about to be.
        "TR001" => Error::Elsewhere(cause),
        "TR002" => Error::Frozen(cause),
        code if code.starts_with("08") || code.starts_with("57P") => Error::Lost(Some(cause)),
        code if code.starts_with("23") => {
            Error::Constraint { name: error.constraint().unwrap_or_default().into(), source: cause }
        }
        code if code.starts_with("53") => Error::Overloaded,
        code if code.starts_with("XX") => Error::Corrupt(cause),
        _ => Error::Statement(cause),
    }
}
