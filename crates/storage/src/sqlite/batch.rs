//! One transaction shared by many units of work.
//!
//! The promise: no caller hears `Ok` before the transaction that holds its
//! writes is on the disk, and no unit's failure touches another, except a fault
//! that makes SQLite undo the whole transaction. Then every unit fails.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rusqlite::Connection;
use tokio::time::Instant;

use super::{
    meters::Meters,
    unit::{Job, Verdict},
};
use crate::{Error, Faults};

/// The log is copied into the database when it has this many pages (4 KiB each).
const CHECKPOINT_PAGES: i32 = 1_000;

thread_local! {
    /// Pages in the log after the last commit of this thread's connection; the
    /// hook that tells it can hold no state.
    static LOG_PAGES: Cell<i32> = const { Cell::new(0) };
}

/// The writing connection, and when it may commit.
pub(super) struct Committer {
    connection: Connection,
    faults: Faults,
    meters: Arc<Meters>,
    /// Set only around our own COMMIT. Without it a unit that goes on after
    /// SQLite undid the transaction would commit statement by statement.
    may_commit: Arc<AtomicBool>,
    /// SQLite's count of changed rows, as last seen.
    changes: i64,
}

/// Units that ran in the open transaction and wait for its commit.
#[derive(Default)]
pub(super) struct Batch {
    done: Vec<Box<dyn Job>>,
    changed: bool,
    state: State,
}

#[derive(Default)]
enum State {
    /// No transaction yet, or one that was given up without harm to anybody.
    #[default]
    Empty,
    Open,
    /// The transaction is lost, with all that ran in it.
    Failed(Error),
}

impl Committer {
    pub(super) fn new(
        connection: Connection,
        faults: Faults,
        meters: Arc<Meters>,
    ) -> Result<Self, Error> {
        let may_commit = Arc::new(AtomicBool::new(false));
        let allowed = Arc::clone(&may_commit);
        connection.commit_hook(Some(move || !allowed.load(Ordering::Relaxed)))?;
        // Takes the place of SQLite's own checkpoint, which would run inside
        // COMMIT, while callers wait for their answer.
        connection.wal_hook(Some(|_, pages| {
            LOG_PAGES.set(pages);
            Ok(())
        }));
        let mut committer = Self { connection, faults, meters, may_commit, changes: 0 };
        committer.has_changed()?;
        Ok(committer)
    }

    /// Copies the log into the database when it has grown long enough.
    pub(super) fn tidy(&self) {
        if CHECKPOINT_PAGES <= LOG_PAGES.get() {
            LOG_PAGES.set(0);
            if let Err(error) = self.connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE)") {
                // Nothing is lost: the log keeps what could not be copied.
                tracing::warn!(error = &error as &dyn std::error::Error, "checkpoint failed");
            }
        }
    }

    /// Closes the connection, which as the last one also empties the log.
    pub(super) fn close(self) {
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(error = &error as &dyn std::error::Error, "close failed");
        }
    }

    fn execute(&self, sql: &str) -> Result<(), Error> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }

    fn commit(&self) -> Result<(), Error> {
        self.may_commit.store(true, Ordering::Relaxed);
        let result = self.execute("COMMIT");
        self.may_commit.store(false, Ordering::Relaxed);
        result
    }

    /// Whether SQLite has undone the transaction by itself.
    fn is_lost(&self) -> bool {
        self.connection.is_autocommit()
    }

    pub(super) fn is_crashed(&self) -> bool {
        self.faults.crashed()
    }

    /// Ends an open transaction, if there still is one.
    fn roll_back(&self) {
        if !self.is_lost()
            && let Err(error) = self.execute("ROLLBACK")
        {
            tracing::error!(error = &error as &dyn std::error::Error, "rollback failed");
        }
    }

    /// Whether rows were changed since the last call.
    fn has_changed(&mut self) -> Result<bool, Error> {
        let changes = self
            .connection
            .prepare_cached("SELECT total_changes()")?
            .query_row([], |row| row.get(0))?;
        Ok(std::mem::replace(&mut self.changes, changes) != changes)
    }
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.done.len()
    }

    /// Whether another unit can join.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Runs a unit in the shared transaction, which it opens if need be.
    pub(super) fn run(&mut self, committer: &mut Committer, mut job: Box<dyn Job>) {
        let verdict = match self.state {
            State::Open => self.run_next(committer, job.as_mut()),
            State::Empty | State::Failed(_) => self.run_first(committer, job.as_mut()),
        };
        match verdict {
            // With no transaction left there is nothing to wait for, and the
            // unit knows best why it failed.
            Ok(Verdict::Undo) if !self.is_open() => job.answer(Ok(())),
            // In an open one it may have failed over what others wrote, which
            // is not true before their commit.
            Ok(_) => self.done.push(job),
            Err(error) => {
                self.state = State::Failed(error);
                self.done.push(job);
            }
        }
    }

    /// The first unit needs no savepoint: to undo it is to undo all there is.
    fn run_first(
        &mut self,
        committer: &mut Committer,
        job: &mut dyn Job,
    ) -> Result<Verdict, Error> {
        committer.faults.check()?;
        // Nothing is open here, unless a rollback failed.
        committer.roll_back();
        committer.execute("BEGIN IMMEDIATE")?;
        let verdict = job.run(&committer.connection);
        let changed = committer.has_changed();
        match verdict {
            Verdict::Keep if committer.is_lost() => return Err(Error::RolledBack),
            Verdict::Keep => {
                self.changed = changed?;
                self.state = State::Open;
            }
            Verdict::Undo => committer.roll_back(),
        }
        Ok(verdict)
    }

    fn run_next(&mut self, committer: &mut Committer, job: &mut dyn Job) -> Result<Verdict, Error> {
        committer.execute("SAVEPOINT unit")?;
        let verdict = job.run(&committer.connection);
        let changed = committer.has_changed();
        match verdict {
            Verdict::Keep if committer.is_lost() => return Err(Error::RolledBack),
            Verdict::Keep => self.changed |= changed?,
            Verdict::Undo if committer.is_lost() => {
                self.state = State::Failed(Error::RolledBack);
                return Ok(verdict);
            }
            Verdict::Undo => committer.execute("ROLLBACK TO unit")?,
        }
        committer.execute("RELEASE unit")?;
        Ok(verdict)
    }

    /// Commits, and tells everybody.
    pub(super) fn commit(self, committer: &mut Committer) {
        let fate = match self.state {
            State::Empty => Ok(()),
            State::Failed(error) => Err(error),
            State::Open if self.changed => {
                let began = Instant::now();
                let fate = committer.faults.commit(|| committer.commit());
                committer.meters.committed(self.done.len(), began.elapsed());
                fate
            }
            State::Open => committer.faults.check().and_then(|()| committer.commit()),
        };
        if fate.is_err() {
            committer.roll_back();
        }
        for job in self.done {
            job.answer(fate.clone());
        }
    }
}
