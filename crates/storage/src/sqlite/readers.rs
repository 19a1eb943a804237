//! The connections that read, each used by one query at a time.
//!
//! Queries take turns in the order they came. They run on tokio's blocking
//! threads, so a slow one holds up no other task; only a look-up by key, which
//! takes a few microseconds, runs where it is called.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rusqlite::Connection;
use tokio::{sync::Semaphore, task::spawn_blocking};
use tracing::Span;

use super::connect;
use crate::{Error, Faults};

const DEFAULT_READERS: usize = 4;

/// How many queries may run or wait.
const QUEUE: usize = 4_096;

pub(super) struct Readers {
    path: PathBuf,
    faults: Faults,
    count: usize,
    entry: Semaphore,
    turns: Arc<Semaphore>,
    /// Open and free; the others are in use or were never needed.
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    /// Opens nothing yet. A `count` of 0 stands for the default.
    pub(super) fn new(path: PathBuf, count: usize, faults: Faults) -> Self {
        let count = if count == 0 { DEFAULT_READERS } else { count };
        Self {
            path,
            faults,
            count,
            entry: Semaphore::new(QUEUE),
            turns: Arc::new(Semaphore::new(count)),
            idle: Mutex::new(Vec::with_capacity(count)),
        }
    }

    pub(super) async fn read<T, E>(
        self: &Arc<Self>,
        query: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.faults.check()?;
        let _entry = self.entry.try_acquire().map_err(|_| Error::Overloaded)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Error::Closed)?;

        let readers = Arc::clone(self);
        let span = Span::current();
        let task = spawn_blocking(move || {
            // The turn ends after the connection is back.
            let _turn = turn;
            span.in_scope(|| readers.run(query))
        });
        let result = task.await.unwrap_or_else(|error| {
            if error.is_panic() {
                tracing::error!("a query panicked");
                return Err(Error::Panicked.into());
            }
            Err(Error::Closed.into())
        });
        self.faults.check()?;
        result
    }

    /// The same on the calling thread: handing a look-up to another one would
    /// cost several times what it does.
    pub(super) async fn look_up<T, E: From<Error>>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.faults.check()?;
        let _entry = self.entry.try_acquire().map_err(|_| Error::Overloaded)?;
        let _turn = self.turns.acquire().await.map_err(|_| Error::Closed)?;
        let result = self.run(query);
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

    /// A panic drops the connection, and with it whatever state it was in.
    fn run<T, E: From<Error>>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let free = self.idle().pop();
        let connection = match free {
            Some(connection) => connection,
            None => connect::reader(&self.path)?,
        };
        execute(&connection, "BEGIN")?;
        let result = query(&connection);
        execute(&connection, "COMMIT")?;
        self.idle().push(connection);
        result
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
