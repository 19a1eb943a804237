//! Which step comes after which: the saga as a table, without time or network.
//!
//! ```text
//! checkout   reserve → authorize → commit → capture → confirmed
//!               │           │         │        │
//!   sold out ───┤           └────┬────┘        └─ cannot be taken
//!               │                ▼ turn back         ▼ turn back
//!               │             release             restock
//!               │    committed │  │ given back       │
//!               │   ◄──────────┘  ▼                  │
//!               │   capture      void ◄──────────────┘
//!               ▼                 ▼
//!            cancelled        cancelled
//!
//! refund     refund → restock → refunded
//! ```
//!
//! `commit` is the pivot: before it a saga can turn back for any reason, after
//! it only when the money cannot be taken. Stock is released before the payment
//! is voided, because only the release tells whether the pivot has passed.

use crate::domain::{Cancellation, Reason};

use super::Kind;

/// One call that settles something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    Reserve,
    Authorize,
    Commit,
    Capture,
    Release,
    Void,
    Restock,
    Refund,
}

/// A definite answer; anything else is a [`Trouble`](super::Trouble), and the
/// step is repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Done,
    Refused(Refusal),
}

/// A no that a repetition would hear again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    OutOfStock {
        sku: String,
    },
    /// The units are held no more: they lapsed or were released.
    NotHeld,
    Declined {
        code: String,
    },
    /// The payment was voided before it came.
    Voided,
    /// The authorized money cannot be taken.
    CaptureFailed,
    /// The release came too late: the pivot has passed.
    Committed,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    Do(Step),
    /// Write down that the saga turns back, and why, before anything is undone.
    TurnBack(Cancellation),
    Confirm,
    Cancel(Cancellation),
    Refund,
}

/// An answer that a participant never gives to this step if all is well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{step:?} cannot be answered with {answer:?}")]
pub struct Nonsense {
    step: Step,
    answer: Answer,
}

/// Where a saga begins, each time that it does.
pub fn first(kind: Kind, turned_back: Option<&Cancellation>) -> Next {
    match (kind, turned_back) {
        (Kind::Refund, _) => Next::Do(Step::Refund),
        (Kind::Checkout, None) => Next::Do(Step::Reserve),
        (Kind::Checkout, Some(why)) if why.reason == Reason::CaptureFailed => {
            Next::Do(Step::Restock)
        }
        (Kind::Checkout, Some(_)) => Next::Do(Step::Release),
    }
}

/// What follows from the answer to a step.
pub fn after(
    kind: Kind,
    turned_back: Option<&Cancellation>,
    step: Step,
    answer: Answer,
) -> Result<Next, Nonsense> {
    let back = |reason, detail| Next::TurnBack(Cancellation { reason, detail });
    let next = match (kind, step, answer) {
        (Kind::Checkout, Step::Reserve, Answer::Done) => Next::Do(Step::Authorize),
        (Kind::Checkout, Step::Authorize, Answer::Done) => Next::Do(Step::Commit),
        (Kind::Checkout, Step::Commit, Answer::Done) => Next::Do(Step::Capture),
        (Kind::Checkout, Step::Capture, Answer::Done) => Next::Confirm,

        // Nothing is held and nothing was asked of the card: there is nothing to undo.
        (Kind::Checkout, Step::Reserve, Answer::Refused(Refusal::OutOfStock { sku })) => {
            Next::Cancel(Cancellation { reason: Reason::OutOfStock, detail: sku })
        }
        (Kind::Checkout, Step::Reserve | Step::Commit, Answer::Refused(Refusal::NotHeld)) => {
            back(Reason::ReservationExpired, String::new())
        }
        (Kind::Checkout, Step::Authorize, Answer::Refused(Refusal::Declined { code })) => {
            back(Reason::PaymentDeclined, code)
        }
        (Kind::Checkout, Step::Authorize, Answer::Refused(Refusal::Voided)) => {
            back(Reason::PaymentVoided, String::new())
        }
        (Kind::Checkout, Step::Capture, Answer::Refused(Refusal::CaptureFailed)) => {
            back(Reason::CaptureFailed, String::new())
        }

        (Kind::Checkout, Step::Release | Step::Restock, Answer::Done) => Next::Do(Step::Void),
        (Kind::Checkout, Step::Release, Answer::Refused(Refusal::Committed)) => {
            Next::Do(Step::Capture)
        }
        (Kind::Checkout, Step::Void, Answer::Done) => match turned_back {
            Some(why) => Next::Cancel(why.clone()),
            None => return Err(Nonsense { step, answer: Answer::Done }),
        },

        (Kind::Refund, Step::Refund, Answer::Done) => Next::Do(Step::Restock),
        (Kind::Refund, Step::Restock, Answer::Done) => Next::Refund,

        (_, step, answer) => return Err(Nonsense { step, answer }),
    };
    Ok(next)
}

impl Step {
    /// Whether a checkout may still turn back, for whatever reason, in place of this step.
    pub fn is_before_pivot(self) -> bool {
        matches!(self, Self::Reserve | Self::Authorize | Self::Commit)
    }

    /// The name in the store and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Authorize => "authorize",
            Self::Commit => "commit",
            Self::Capture => "capture",
            Self::Release => "release",
            Self::Void => "void",
            Self::Restock => "restock",
            Self::Refund => "refund",
        }
    }
}

impl Answer {
    /// How the log puts it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused(Refusal::OutOfStock { .. }) => "refused: out of stock",
            Self::Refused(Refusal::NotHeld) => "refused: not held",
            Self::Refused(Refusal::Declined { .. }) => "refused: declined",
            Self::Refused(Refusal::Voided) => "refused: voided",
            Self::Refused(Refusal::CaptureFailed) => "refused: capture failed",
            Self::Refused(Refusal::Committed) => "refused: committed",
        }
    }
}

#[cfg(test)]
mod tests;
