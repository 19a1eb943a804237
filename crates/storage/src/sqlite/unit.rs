//! A unit of work on its way through the writer, with the caller who waits for it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::Connection;
use tokio::sync::oneshot;
use tracing::Span;

use crate::Error;

/// A [`Unit`] whose types only its caller knows.
pub(super) trait Job: Send {
    /// Nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;

    /// Does the work once and keeps its result; says whether to keep its writes.
    fn run(&mut self, connection: &Connection) -> Verdict;

    /// Tells the caller the unit's own result, unless `fate` has overtaken it.
    fn answer(self: Box<Self>, fate: Result<(), Error>);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    Undo,
}

pub(super) struct Unit<F, T, E> {
    work: Option<F>,
    result: Option<Result<T, E>>,
    caller: oneshot::Sender<Result<T, E>>,
    span: Span,
}

impl<F, T, E> Unit<F, T, E> {
    pub(super) fn new(work: F) -> (Self, oneshot::Receiver<Result<T, E>>) {
        let (caller, answer) = oneshot::channel();
        let unit = Self { work: Some(work), result: None, caller, span: Span::current() };
        (unit, answer)
    }
}

impl<F, T, E> Job for Unit<F, T, E>
where
    F: FnOnce(&Connection) -> Result<T, E> + Send,
    T: Send,
    E: From<Error> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.caller.is_closed()
    }

    fn run(&mut self, connection: &Connection) -> Verdict {
        let Some(work) = self.work.take() else { return Verdict::Undo };
        let _entered = self.span.enter();
        // What the unit shares with others must stand a panic, as in any task;
        // what it wrote is rolled back.
        let result = catch_unwind(AssertUnwindSafe(|| work(connection))).unwrap_or_else(|_| {
            tracing::error!("a unit of work panicked");
            Err(Error::Panicked.into())
        });
        let verdict = if result.is_ok() { Verdict::Keep } else { Verdict::Undo };
        self.result = Some(result);
        verdict
    }

    fn answer(self: Box<Self>, fate: Result<(), Error>) {
        let result = match (fate, self.result) {
            (Err(error), _) => Err(error.into()),
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(Error::Closed.into()),
        };
        // A caller that went away meanwhile needs no answer.
        let _ = self.caller.send(result);
    }
}
