//! Why there is no value.

use std::time::Duration;

use tonic::Status;
use trellis_api::error::{internal, unavailable};

/// When it is worth trying again.
const RETRY: Duration = Duration::from_secs(1);

/// A read failed, and nothing that was kept is good enough to be given out instead. Redis is
/// never the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error<E> {
    /// The store said so.
    #[error("the value could not be read")]
    Load(#[source] E),
    /// The store did not answer in time, or there was no turn.
    #[error("reading the value took too long")]
    TimedOut,
    /// Reading panicked, which is logged.
    #[error("reading the value panicked")]
    Panicked,
    /// The process stops.
    #[error("reading the value was broken off")]
    Stopped,
}

/// What a service answers whose loads fail with a status.
impl From<Error<Status>> for Status {
    fn from(error: Error<Status>) -> Self {
        match error {
            Error::Load(status) => status,
            Error::TimedOut => unavailable("STORAGE_OVERDUE", "the storage is too slow", RETRY),
            Error::Stopped => unavailable("STOPPING", "the service is stopping", RETRY),
            Error::Panicked => internal(),
        }
    }
}
