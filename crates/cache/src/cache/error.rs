//! Why there is no value.

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
