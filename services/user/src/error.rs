//! What can go wrong, as callers see it.

use std::time::Duration;

use tonic::{Code, Status};
use trellis_api::error::{Invalid, Violation};
use trellis_api::error::{internal, retry_later, status, unavailable};
use trellis_storage as storage;

/// One variant for each thing that a caller could do something about.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the request is not valid")]
    Invalid(#[from] Invalid),
    #[error("the email belongs to another account")]
    EmailTaken,
    /// An unknown email and a wrong password are one error, so that nobody can
    /// ask which addresses have accounts.
    #[error("the email or the password is wrong")]
    InvalidCredentials,
    #[error("too many failed attempts to sign in")]
    TooManyAttempts { retry_after: Duration },
    #[error("too many people are signing in at once")]
    SignInOverloaded,
    /// Tokens that lapsed, were signed out or never were, are one error too.
    #[error("the session is over")]
    SessionExpired,
    #[error("there is no such account")]
    UserNotFound,
    #[error("the password could not be hashed")]
    Hash(#[from] argon2::password_hash::Error),
    #[error("a background task failed")]
    Task(#[from] tokio::task::JoinError),
    #[error("the user store failed")]
    Storage(#[from] storage::Error),
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Self::Invalid(violation.into())
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Invalid(invalid) => invalid.into(),
            Error::EmailTaken => status(Code::AlreadyExists, "EMAIL_TAKEN", message, &[]),
            Error::InvalidCredentials => {
                status(Code::Unauthenticated, "INVALID_CREDENTIALS", message, &[])
            }
            Error::TooManyAttempts { retry_after } => {
                retry_later(Code::ResourceExhausted, "TOO_MANY_ATTEMPTS", message, retry_after)
            }
            Error::SignInOverloaded => {
                unavailable("SIGN_IN_OVERLOADED", message, Duration::from_secs(1))
            }
            Error::SessionExpired => status(Code::Unauthenticated, "SESSION_EXPIRED", message, &[]),
            Error::UserNotFound => status(Code::NotFound, "USER_NOT_FOUND", message, &[]),
            error @ (Error::Hash(_) | Error::Task(_)) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a password could not be worked on"
                );
                internal()
            }
            Error::Storage(cause) => cause.into(),
        }
    }
}
