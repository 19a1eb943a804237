//! The connections that read, each used by one query at a time.
//!
//! Queries take turns in the order they came. They run on tokio's blocking
//! threads, so a slow one holds up no other task; only a look-up by key, which
//! takes a few microseconds, runs where it is called.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use quanta::Instant;
use rusqlite::Connection;
use tokio::{sync::Semaphore, task::spawn_blocking};
use trellis_telemetry::Scope;

use super::{connect, meters::Meters, statements};
use crate::{
    Error, Faults,
    answer::{Answer, Outcome},
    meters::Pool,
};

/// How many connections read where nobody says otherwise.
pub(super) const DEFAULT_READERS: usize = 4;

/// How many queries may run or wait.
const QUEUE: usize = 4_096;

pub(super) struct Readers {
    path: PathBuf,
    faults: Faults,
    meters: Arc<Meters>,
    count: usize,
    entry: Semaphore,
    turns: Arc<Semaphore>,
    /// Open and free; the others are in use or were never needed.
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    /// Opens nothing yet.
    pub(super) fn new(path: PathBuf, count: usize, faults: Faults, meters: Arc<Meters>) -> Self {
        Self {
            path,
            faults,
            meters,
            count,
            entry: Semaphore::new(QUEUE),
            turns: Arc::new(Semaphore::new(count)),
            idle: Mutex::new(Vec::with_capacity(count)),
        }
    }

    pub(super) async fn read<T, E>(
        self: &Arc<Self>,
        query: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        began: Instant,
    ) -> Outcome<T, E>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.faults.check()?;
        let _entry = self.entry.try_acquire().map_err(|_| Error::Overloaded)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Error::Closed)?;

        let readers = Arc::clone(self);
        let scope = Scope::current();
        let task = spawn_blocking(move || {
            // The turn ends after the connection is back.
            let _turn = turn;
            scope.in_scope(|| readers.run(query, Some(began)))
        });
        let result = task.await.unwrap_or_else(|error| {
            if error.is_panic() {
                tracing::error!("a query panicked");
                return Err(Error::Panicked);
            }
            Err(Error::Closed)
        });
        self.faults.check()?;
        result
    }

    /// The same on the calling thread: handing a look-up to another one would
    /// cost several times what it does.
    pub(super) async fn look_up<T, E>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, E>,
        began: Instant,
    ) -> Outcome<T, E> {
        self.faults.check()?;
        let _entry = self.entry.try_acquire().map_err(|_| Error::Overloaded)?;
        // A task that looks up one thing after the other still takes turns with others.
        tokio::task::consume_budget().await;
        let (_turn, waiting) = match self.turns.try_acquire() {
            Ok(turn) => (turn, None),
            Err(_) => (self.turns.acquire().await.map_err(|_| Error::Closed)?, Some(began)),
        };
        let result = self.run(query, waiting);
        self.faults.check()?;
        result
    }

    /// Waits for the queries that came before, then closes every connection.
    pub(super) async fn close(&self) {
        let all = u32::try_from(self.count).unwrap_or(u32::MAX);
        let turns = self.turns.acquire_many(all).await;
        self.turns.close();
        self.idle().clear();
        drop(turns);
    }

    pub(super) fn pool(&self) -> Pool {
        // They are read one after the other, so they need not fit together.
        let used = self.count.saturating_sub(self.turns.available_permits());
        let all = QUEUE.saturating_sub(self.entry.available_permits());
        Pool { used, idle: self.idle().len(), pending: all.saturating_sub(used) }
    }

    /// `waiting` is when the wait for a turn began, if there was one.
    ///
    /// A panic drops the connection, and with it whatever state it was in.
    fn run<T, E>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, E>,
        waiting: Option<Instant>,
    ) -> Outcome<T, E> {
        let free = self.idle().pop();
        let connection = match free {
            Some(connection) => connection,
            None => connect::reader(&self.path)?,
        };
        self.meters.waited_for_reader(waiting);
        execute(&connection, "BEGIN")?;
        let answer = statements::traced(&connection, || Answer::of(|| query(&connection)));
        execute(&connection, "COMMIT")?;
        self.idle().push(connection);
        Ok(answer)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        // A panic cannot leave the list half changed.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn execute(connection: &Connection, sql: &str) -> Result<(), Error> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}
