//! What a unit of work came to, and whether storage had a fault in it.
//!
//! A unit's error is of its caller's own type. It may say that a cart is empty or that
//! the disk is full, and nobody here can tell. But what a database reports in a unit comes
//! by [`Error`], so it is noted there.

use std::cell::Cell;

use crate::Error;

thread_local! {
    /// The last fault in the unit that this thread does.
    static FAULT: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// An answer, or the error of storage that came instead.
pub(crate) type Outcome<T, E> = Result<Answer<T, E>, Error>;

pub(crate) struct Answer<T, E> {
    pub(crate) result: Result<T, E>,
    /// Why the unit failed, if that was not its own decision.
    pub(crate) fault: Option<&'static str>,
}

impl<T, E> Answer<T, E> {
    /// That of `work`, which is done at once.
    pub(crate) fn of(work: impl FnOnce() -> Result<T, E>) -> Self {
        FAULT.set(None);
        let result = work();
        let fault = if result.is_ok() { None } else { FAULT.get() };
        Self { result, fault }
    }
}

/// What whoever asked for the unit is told.
pub(crate) fn tell<T, E: From<Error>>(outcome: Outcome<T, E>) -> Result<T, E> {
    outcome?.result
}

/// Nothing is noted on this thread any more.
pub(crate) fn forget() {
    FAULT.set(None);
}

/// The last fault on this thread since [`forget`].
pub(crate) fn noted() -> Option<&'static str> {
    FAULT.get()
}

/// A database has reported `error` on this thread.
///
/// A constraint that refuses a write does what it is there for: no fault.
pub(crate) fn note(error: &Error) {
    if !matches!(error, Error::Constraint { .. }) {
        FAULT.set(Some(error.word()));
    }
}
