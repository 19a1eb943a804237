//! A unit of work on its way through the writer, with the caller who waits for it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use quanta::Instant;
use rusqlite::Connection;
use tokio::sync::oneshot;
use trellis_telemetry::Scope;

use super::statements;
use crate::{
    Error,
    answer::{Answer, Outcome},
};

/// A [`Unit`] whose types only its caller knows.
pub(super) trait Job: Send {
    /// Nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;

    /// When its caller began to wait.
    fn began(&self) -> Instant;

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
    answer: Option<Outcome<T, E>>,
    caller: oneshot::Sender<Outcome<T, E>>,
    began: Instant,
    scope: Scope,
}

impl<F, T, E> Unit<F, T, E> {
    pub(super) fn new(work: F, began: Instant) -> (Self, oneshot::Receiver<Outcome<T, E>>) {
        let (caller, answer) = oneshot::channel();
        let scope = Scope::current();
        let unit = Self { work: Some(work), answer: None, caller, began, scope };
        (unit, answer)
    }
}

impl<F, T, E> Job for Unit<F, T, E>
where
    F: FnOnce(&Connection) -> Result<T, E> + Send,
    T: Send,
    E: Send,
{
    fn is_abandoned(&self) -> bool {
        self.caller.is_closed()
    }

    fn began(&self) -> Instant {
        self.began
    }

    fn run(&mut self, connection: &Connection) -> Verdict {
        let Some(work) = self.work.take() else { return Verdict::Undo };
        let _entered = self.scope.enter();
        // What the unit shares with others must stand a panic, as in any task;
        // what it wrote is rolled back.
        let work = || statements::traced(connection, || Answer::of(|| work(connection)));
        let answer = catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
            tracing::error!("a unit of work panicked");
            Error::Panicked
        });
        let is_done = answer.as_ref().is_ok_and(|answer| answer.result.is_ok());
        self.answer = Some(answer);
        if is_done { Verdict::Keep } else { Verdict::Undo }
    }

    fn answer(self: Box<Self>, fate: Result<(), Error>) {
        let answer = match (fate, self.answer) {
            (Err(error), _) => Err(error),
            (Ok(()), Some(answer)) => answer,
            (Ok(()), None) => Err(Error::Closed),
        };
        // A caller that went away meanwhile needs no answer.
        let _ = self.caller.send(answer);
    }
}
