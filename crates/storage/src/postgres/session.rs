//! A transaction on a connection, which its unit of work uses and then gives back.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::{AssertSqlSafe, PgConnection, Postgres, pool::PoolConnection};
use tokio::{runtime::Handle, time::timeout};
use trellis_api::id::Bucket;
use trellis_resilience::context;

use super::{cluster::Server, commit, failure::is_unknown_feature, turns::Turn};
use crate::{Error, Faults};

/// How long statements may take where nobody waits with a deadline.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most, whatever the deadline: an audit reads everything.
const MOST: Duration = Duration::from_mins(5);
/// How long a statement waits for a lock at the most.
const LOCK: Duration = Duration::from_secs(2);
/// What a server has beyond that to say so itself, before it is taken for lost.
pub(super) const SLACK: Duration = Duration::from_millis(500);
/// How long undoing may take. A connection that does not manage it is closed, which
/// undoes it as well.
const UNDO: Duration = Duration::from_secs(1);
/// How often a connection may turn out to be lost before anything was done on it.
const BEGINNINGS: u32 = 3;

/// What is done, and so what is put around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Write,
    Read,
    LookUp,
}

/// What a unit asks of a shard before it does anything there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// The database is no shard.
    Open,
    /// To work on what belongs to one bucket, which stays until the unit ends.
    Bucket(Bucket),
    /// To work on what belongs to any bucket that is there; the unit has to ask for each
    /// row by `shard_has(bucket)`.
    All,
}

/// The connection of a unit of work, which is in a transaction. It derefs to sqlx's.
///
/// A unit gives it back by its end. It must not begin or end transactions, only
/// savepoints of its own.
#[derive(Debug)]
pub struct Tx {
    connection: Option<PoolConnection<Postgres>>,
    home: Arc<Home>,
}

/// Where a connection lies while no unit has it.
#[derive(Debug, Default)]
struct Home(Mutex<Option<PoolConnection<Postgres>>>);

/// The side of whoever has the unit done. Dropped before its end, it undoes the unit.
pub(super) struct Session {
    home: Arc<Home>,
    mode: Mode,
    limit: Duration,
    server: Arc<Server>,
    _turn: (Turn, Turn),
}

impl Session {
    /// Begins a unit on a server; `as_primary` says what it was chosen for. After an
    /// error nothing of it was done.
    pub(super) async fn begin(
        server: &Arc<Server>,
        mode: Mode,
        door: Door,
        as_primary: bool,
    ) -> Result<(Self, Tx), Error> {
        let limit = limit();
        let mut beginnings = 1;
        let (connection, turn) = loop {
            let (mut connection, turn) = server.acquire(limit, as_primary).await?;
            let Some(begin) = mode.begin(limit) else { break (connection, turn) };
            match ask(&mut connection, &(begin + &door.enter()), limit).await {
                Ok(()) => break (connection, turn),
                // It has answered, and is sound.
                Err(error @ (Error::Elsewhere(_) | Error::Frozen(_) | Error::Busy(_))) => {
                    undo(connection).await;
                    return Err(error);
                }
                Err(error) => {
                    drop(connection.detach());
                    let is_lost = matches!(error, Error::Lost(_));
                    if is_lost {
                        // While it lay idle, and others with it.
                        server.lost();
                    }
                    if BEGINNINGS <= beginnings || !is_lost {
                        return Err(mode.refused(error));
                    }
                    beginnings += 1;
                }
            }
        };
        let home = Arc::new(Home::default());
        let tx = Tx { connection: Some(connection), home: Arc::clone(&home) };
        Ok((Self { home, mode, limit, server: Arc::clone(server), _turn: turn }, tx))
    }

    /// Waits for the unit as long as its statements may take. A unit that takes longer
    /// says nothing of the server: other connections may be sound.
    pub(super) async fn limit<T>(&self, unit: impl Future<Output = T>) -> Result<T, Error> {
        let done = timeout(self.limit + SLACK, unit).await;
        done.map_err(|elapsed| Error::Busy(Arc::new(elapsed)))
    }

    pub(super) async fn commit(self, faults: &Faults) -> Result<(), Error> {
        let mut connection = self.home.take().ok_or(Error::Closed)?;
        let done = match self.mode {
            Mode::LookUp => return Ok(()),
            Mode::Read => ask(&mut connection, "COMMIT", self.limit).await,
            Mode::Write => self.write(&mut connection, faults).await,
        };
        if let Err(error) = &done {
            if matches!(error, Error::Lost(_)) {
                self.server.lost();
            }
            // Whatever state it is in.
            drop(connection.detach());
        }
        done
    }

    async fn write(&self, connection: &mut PgConnection, faults: &Faults) -> Result<(), Error> {
        if self.server.is_deposed() {
            // Nobody may hear of what is only on a server that is no primary any more.
            return Err(Error::Lost(None));
        }
        let has_replicas = self.server.has_replicas();
        let at = commit::commit(connection, faults, self.limit, has_replicas).await?;
        at.map_or(Ok(()), |at| self.server.wrote(at))
    }

    /// For a connection that is lost.
    pub(super) fn abandon(self) {
        self.server.lost();
        drop(self.home.take().map(PoolConnection::detach));
    }

    /// As its fate is decided, nobody hears of a failure.
    pub(super) async fn undo(self) {
        let Some(connection) = self.home.take() else { return };
        if self.mode != Mode::LookUp {
            undo(connection).await;
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(connection) = self.home.take() else { return };
        match Handle::try_current() {
            Ok(runtime) if self.mode != Mode::LookUp => drop(runtime.spawn(undo(connection))),
            // A statement may be under way.
            _ => drop(connection.detach()),
        }
    }
}

async fn undo(mut connection: PoolConnection<Postgres>) {
    if ask(&mut connection, "ROLLBACK", UNDO).await.is_err() {
        drop(connection.detach());
    }
}

/// How long the statements of a unit may take.
pub(super) fn limit() -> Duration {
    context::remaining().unwrap_or(PATIENCE).clamp(Duration::from_millis(1), MOST)
}

/// Has the server do what is no query, for a limited time.
pub(crate) async fn ask(
    connection: &mut PgConnection,
    sql: &str,
    limit: Duration,
) -> Result<(), Error> {
    let query = sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection);
    timeout(limit + SLACK, query).await.map_err(|_| Error::Lost(None))??;
    Ok(())
}

impl Mode {
    /// One round trip. The numbers are the only parts that are not constants.
    fn begin(self, limit: Duration) -> Option<String> {
        let (statement, lock) = (limit.as_millis(), limit.min(LOCK).as_millis());
        match self {
            Self::Write => Some(format!(
                "BEGIN READ WRITE; SET LOCAL statement_timeout = {statement}; SET LOCAL lock_timeout = {lock}"
            )),
            Self::Read => Some(format!(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {statement}"
            )),
            Self::LookUp => None,
        }
    }

    /// A replica does not know how to begin a unit that writes, and says so in words that
    /// are no others' than those of an unknown feature.
    fn refused(self, error: Error) -> Error {
        match error {
            Error::Statement(cause) if self == Self::Write && is_unknown_feature(&cause) => {
                Error::ReadOnly(Some(cause))
            }
            error => error,
        }
    }
}

impl Door {
    /// Goes behind the BEGIN, in one round trip with it.
    fn enter(self) -> String {
        match self {
            Self::Open => String::new(),
            Self::Bucket(bucket) => format!("; SELECT shard_enter({}::smallint)", bucket.get()),
            Self::All => "; SELECT shard_enter_all()".to_owned(),
        }
    }
}

impl Home {
    fn take(&self) -> Option<PoolConnection<Postgres>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        *self.home.0.lock().unwrap_or_else(PoisonError::into_inner) = self.connection.take();
    }
}

impl Deref for Tx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection.as_ref().expect("only its end takes it away")
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("only its end takes it away")
    }
}
