//! Why a processor gave no answer, and what that says about it.

use std::fmt;
use std::time::Duration;

use trellis_resilience::outcome::{FailureKind, Health, Pushback, RetrySafety, Verdict};

use crate::domain::Code;

/// Why a processor gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It may or may not have done what it was asked: repeat the call.
    ///
    /// So is a call that was held back here and never sent. It did nothing, but an
    /// earlier one with the same key may have, and what is to be done is the same: the
    /// same call with the same key, later. There is no variant of its own for it, so that
    /// nobody can take it for a refusal.
    #[error("the processor gave no definite answer: {0}")]
    Unknown(Unanswered),
    /// It will not do this at all; ours is the mistake. Nothing was done.
    #[error("the processor refuses the call: {0}")]
    Invalid(Code),
}

/// A call without a definite answer.
#[derive(Debug)]
pub struct Unanswered {
    why: Box<str>,
    health: Health,
    retry_after: Option<Duration>,
    was_held_back: bool,
}

impl Error {
    /// The processor is well, and said nothing definite about this payment.
    pub fn unknown(why: impl fmt::Display) -> Self {
        Self::unanswered(why, Health::Success)
    }

    /// Nothing is learned about the processor either.
    pub(super) fn ignored(why: impl fmt::Display) -> Self {
        Self::unanswered(why, Health::Ignore)
    }

    /// The processor, or the way to it, failed.
    pub(super) fn failed(kind: FailureKind, why: impl fmt::Display) -> Self {
        Self::unanswered(why, Health::Failure(kind))
    }

    /// The processor is well, and asks for less.
    pub(super) fn busy(why: impl fmt::Display) -> Self {
        Self::unanswered(why, Health::Degraded)
    }

    /// The call was not made.
    pub(super) fn held_back(why: impl fmt::Display) -> Self {
        let mut error = Self::ignored(why);
        if let Self::Unknown(unanswered) = &mut error {
            unanswered.was_held_back = true;
        }
        error
    }

    /// With what the processor says about the next call.
    pub(super) fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        if let Self::Unknown(unanswered) = &mut self {
            unanswered.retry_after = wait;
        }
        self
    }

    fn unanswered(why: impl fmt::Display, health: Health) -> Self {
        let why = why.to_string().into();
        Self::Unknown(Unanswered { why, health, retry_after: None, was_held_back: false })
    }

    /// How long the processor asks not to be called.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unknown(unanswered) => unanswered.retry_after,
            Self::Invalid(_) => None,
        }
    }

    /// Whether the call never left this process.
    pub(crate) fn was_held_back(&self) -> bool {
        matches!(self, Self::Unknown(unanswered) if unanswered.was_held_back)
    }

    /// What it says about the processor. A refusal is an answer like any other.
    pub(super) fn verdict(&self) -> Verdict {
        let Self::Unknown(Unanswered { health, retry_after, .. }) = self else {
            return Verdict::SUCCESS;
        };
        let retry = match health {
            Health::Failure(FailureKind::Unsent) => RetrySafety::Always,
            _ => RetrySafety::IfIdempotent,
        };
        Verdict::new(*health, retry).with_pushback(retry_after.map(Pushback::After))
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}
