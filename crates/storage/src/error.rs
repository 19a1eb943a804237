//! What can go wrong with storage, told apart by what a caller can do about it.

use std::{
    error, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rusqlite::{ErrorCode, ffi};
use tonic::Status;

use crate::{PostgresUrl, Problem, ShardsProblem, answer, postgres::Refusal};

/// An error beneath ours; shared, because one fault may fail many units of work.
pub type Cause = Arc<dyn error::Error + Send + Sync>;

/// Why a database did not do what was asked.
///
/// A unit of work that met an error left nothing behind, with three exceptions:
/// after [`Error::Closed`], [`Error::Lost`] and [`Error::Io`] nobody knows, so only a unit under
/// an idempotency key may be repeated.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("the disk is full")]
    Full(#[source] Cause),
    #[error("the database is read-only")]
    ReadOnly(#[source] Option<Cause>),
    #[error("the disk failed")]
    Io(#[source] Cause),
    /// What it needed was locked for longer than we wait: 5 s for SQLite's file, 2 s for
    /// a lock in Postgres. Or a statement took longer than its call had time.
    #[error("the database is locked")]
    Busy(#[source] Cause),
    #[error("too many units of work are waiting")]
    Overloaded,
    #[error("the database is closed")]
    Closed,
    /// The server cannot be reached, or the connection to it was cut.
    #[error("the connection to the database is lost")]
    Lost(#[source] Option<Cause>),
    /// Others were in the way each time.
    #[error("other units of work were in the way")]
    Conflict(#[source] Cause),
    /// The shard does not have the bucket, or not any more.
    #[error("the bucket is on another shard")]
    Elsewhere(#[source] Cause),
    /// The bucket is about to move, which takes less than a second.
    #[error("the bucket is moving to another shard")]
    Frozen(#[source] Cause),
    /// The databases are not the shards that they are said to be.
    #[error(transparent)]
    Shards(#[from] ShardsProblem),
    /// Another unit that shared the transaction met a fault, such as a full
    /// disk, that made SQLite undo all of it.
    #[error("the shared transaction was rolled back")]
    RolledBack,
    /// See [`Error::constraint`].
    #[error("a constraint failed")]
    Constraint { name: Box<str>, source: Cause },
    #[error("a unit of work panicked")]
    Panicked,
    #[error("the database is damaged or is not a database")]
    Corrupt(#[source] Cause),
    #[error("write-ahead logging does not work on this file system")]
    NoWal,
    #[error(
        "{} is in use by another process: stop that process, or give this one another data directory",
        path.display()
    )]
    InUse { path: PathBuf },
    #[error("cannot open {}", path.display())]
    Open { path: PathBuf, source: Box<Error> },
    #[error("cannot use {url}")]
    Server { url: PostgresUrl, source: Box<Error> },
    #[error(transparent)]
    Migration(#[from] Problem),
    #[error("a statement failed")]
    Statement(#[source] Cause),
}

impl Error {
    /// Names what refused the write, so that a service can map it to its own error.
    ///
    /// Postgres gives the name. In SQLite, a CHECK gives its name, UNIQUE and PRIMARY KEY
    /// give `table.column` (several are joined by `, `), an index on an expression gives
    /// its name, a trigger its message, and a foreign key has no name.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Constraint { name, .. } if !name.is_empty() => Some(name),
            _ => None,
        }
    }

    /// The variant in a word, as metrics and spans tell it.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Full(_) => "full",
            Self::ReadOnly(_) => "read_only",
            Self::Io(_) => "io",
            Self::Busy(_) => "busy",
            Self::Overloaded => "overloaded",
            Self::Closed => "closed",
            Self::Lost(_) => Refusal::LOST,
            Self::Conflict(_) => Refusal::CONFLICT,
            Self::Elsewhere(_) => "elsewhere",
            Self::Frozen(_) => "frozen",
            Self::Shards(_) => "shards",
            Self::RolledBack => "rolled_back",
            Self::Constraint { .. } => "constraint",
            Self::Panicked => "panicked",
            Self::Corrupt(_) => "corrupt",
            Self::NoWal => "no_wal",
            Self::InUse { .. } => "in_use",
            Self::Open { source, .. } | Self::Server { source, .. } => source.word(),
            Self::Migration(_) => "migration",
            Self::Statement(_) => "statement",
        }
    }

    pub(crate) fn at(self, path: &Path) -> Self {
        match self {
            Self::InUse { .. } | Self::Open { .. } => self,
            source => Self::Open { path: path.to_owned(), source: Box::new(source) },
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let code = error.sqlite_error_code();
        let name = match (&error, code) {
            (
                rusqlite::Error::SqliteFailure(failure, Some(message)),
                Some(ErrorCode::ConstraintViolation),
            ) => constraint_name(failure.extended_code, message),
            _ => Box::default(),
        };
        let cause: Cause = Arc::new(error);
        let error = match code {
            Some(ErrorCode::DiskFull) => Self::Full(cause),
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly(Some(cause)),
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => Self::Io(cause),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy(cause),
            Some(ErrorCode::ConstraintViolation) => Self::Constraint { name, source: cause },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(cause),
            _ => Self::Statement(cause),
        };
        answer::note(&error);
        error
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        let kind = error.kind();
        let cause: Cause = Arc::new(error);
        match kind {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(cause),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::ReadOnly(Some(cause))
            }
            _ => Self::Io(cause),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        // No error of ours holds a bound value, so no personal data is logged.
        tracing::error!(error = &error as &dyn error::Error, "storage failed");
        let (reason, message, retry) = match error {
            Error::Full(_) => ("STORAGE_FULL", "the storage is full", 5_000),
            Error::ReadOnly(_) => ("STORAGE_READ_ONLY", "the storage takes no writes", 5_000),
            Error::Overloaded => ("STORAGE_OVERLOADED", "the storage is overloaded", 200),
            Error::Busy(_) | Error::Conflict(_) => ("STORAGE_BUSY", "the storage is busy", 200),
            Error::Elsewhere(_) | Error::Frozen(_) => {
                ("STORAGE_MOVING", "what is asked for is moving to another database", 200)
            }
            Error::Io(_) | Error::Closed | Error::Lost(_) | Error::RolledBack => {
                ("STORAGE_UNAVAILABLE", "the storage is unavailable", 1_000)
            }
            // A repetition would meet the same.
            Error::Constraint { .. }
            | Error::Panicked
            | Error::Corrupt(_)
            | Error::NoWal
            | Error::InUse { .. }
            | Error::Open { .. }
            | Error::Server { .. }
            | Error::Migration(_)
            | Error::Shards(_)
            | Error::Statement(_) => return trellis_api::error::internal(),
        };
        trellis_api::error::unavailable(reason, message, Duration::from_millis(retry))
    }
}

/// Takes the name out of SQLite's message, which is the only place it stands in.
fn constraint_name(extended_code: i32, message: &str) -> Box<str> {
    let name = match extended_code {
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => "",
        ffi::SQLITE_CONSTRAINT_TRIGGER => message,
        _ => message.split_once(" constraint failed: ").map_or("", |(_, name)| name),
    };
    name.strip_prefix("index '").and_then(|name| name.strip_suffix('\'')).unwrap_or(name).into()
}
