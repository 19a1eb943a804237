//! What the end of a call says, in the words that every part of this crate shares.

use std::time::Duration;

/// What the end of one attempt says about its peer, and about trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// For breakers, throttles and balancers.
    pub health: Health,
    /// For retries.
    pub retry: RetrySafety,
    /// What the peer itself said about trying again; it wins over any backoff.
    pub pushback: Option<Pushback>,
}

/// What a call says about the health of its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// It did its work, also when the answer is a refusal such as `NOT_FOUND`.
    Success,
    /// It failed, and the peer is or may be to blame.
    Failure(FailureKind),
    /// It is alive and asks for less, as with `RESOURCE_EXHAUSTED`. It counts in rates
    /// and fails a probe, but never as one of several failures in a row.
    Degraded,
    /// Nothing can be learned, as when the caller gave up at once.
    Ignore,
}

/// How a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// It never left: the peer cannot have seen it.
    Unsent,
    /// The connection went while the call was in flight. Its effect is unknown.
    ConnectionLost,
    /// No answer in time. Its effect is unknown.
    Timeout,
    /// The peer says that it is broken.
    Server,
    /// The peer says that it has too much to do.
    Overload,
    /// The answer makes no sense, so its effect is unknown.
    Protocol,
}

/// Whether the same call may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetrySafety {
    /// It would end in the same way, or is not worth the risk.
    Never,
    /// It may have been processed, so only what may be done twice.
    IfIdempotent,
    /// It was provably not processed.
    Always,
}

/// A peer's own word about the next attempt: `grpc-retry-pushback-ms`,
/// `google.rpc.RetryInfo` or `Retry-After`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushback {
    /// Not before that.
    After(Duration),
    /// Not at all.
    Stop,
}

impl Verdict {
    /// The peer did its work, and there is nothing to try again.
    pub const SUCCESS: Self = Self::new(Health::Success, RetrySafety::Never);
    /// Nothing can be learned from a call that its caller gave up.
    pub const IGNORE: Self = Self::new(Health::Ignore, RetrySafety::Never);

    /// Without a word of the peer about trying again.
    pub const fn new(health: Health, retry: RetrySafety) -> Self {
        Self { health, retry, pushback: None }
    }

    /// The same of a failure.
    pub const fn failure(kind: FailureKind, retry: RetrySafety) -> Self {
        Self::new(Health::Failure(kind), retry)
    }

    /// Adds what the peer says about trying again.
    #[must_use]
    pub const fn with_pushback(mut self, pushback: Option<Pushback>) -> Self {
        self.pushback = pushback;
        self
    }

    /// How long the peer asks to be left alone; zero if it does not ask.
    pub const fn hold_off(&self) -> Duration {
        match self.pushback {
            Some(Pushback::After(delay)) => delay,
            Some(Pushback::Stop) | None => Duration::ZERO,
        }
    }
}
