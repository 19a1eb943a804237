//! A handle on one database file: one writer with group commit, many readers.
//!
//! What is not here: retries. A caller that meets [`Error::Busy`] or
//! [`Error::Overloaded`] decides itself whether to come again.

mod batch;
mod connect;
mod meters;
mod readers;
mod statements;
mod unit;
mod writer;

use std::{
    fmt,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
};

use rusqlite::Connection;

use self::{
    meters::Meters,
    readers::{DEFAULT_READERS, Readers},
    writer::Writer,
};
use crate::{
    Error, Faults, Migration, Options, answer, lease, meters::Kind, migration, operation::Operation,
};

/// A database; cheap to clone, and all clones are one.
///
/// When the last clone is dropped, the writer finishes what is queued and then
/// gives the file free. [`Sqlite::close`] does the same and waits for it.
#[derive(Clone)]
pub struct Sqlite {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    faults: Faults,
    meters: Arc<Meters>,
    // Dropped in this order: the connection that closes last tidies up the
    // write-ahead log, and only the writer's may.
    readers: Arc<Readers>,
    writer: Option<Writer>,
}

impl Sqlite {
    /// Opens the file, which is made if need be, and migrates it. Blocks.
    ///
    /// A second writer of the same file, also one in this process, is refused
    /// with [`Error::InUse`] after a wait of 2 s.
    pub fn open(path: &Path, migrations: &[Migration], options: &Options) -> Result<Self, Error> {
        let open = || {
            let path = std::path::absolute(path)?;
            let faults = options.faults.clone();
            let count = if options.readers == 0 { DEFAULT_READERS } else { options.readers };
            let meters = Meters::new(&options.metrics, &path, count, !options.read_only);
            let meters = Arc::new(meters);
            let writer = if options.read_only {
                migration::verify(&connect::reader(&path)?, migrations)?;
                None
            } else {
                let lock = connect::lock(&path)?;
                let mut connection = connect::writer(&path)?;
                migration::apply(&mut connection, migrations)?;
                if migrations.iter().any(|migration| migration.name == lease::MIGRATION.name) {
                    lease::release_all(&connection)?;
                }
                Some(Writer::start(connection, lock, faults.clone(), Arc::clone(&meters))?)
            };
            let readers = Readers::new(path.clone(), count, faults.clone(), Arc::clone(&meters));
            let readers = Arc::new(readers);
            let shared = Arc::new(Shared { path, faults, meters, readers, writer });
            shared.meters.watch(&shared);
            Ok(Self { shared })
        };
        open().map_err(|error: Error| error.at(path))
    }

    /// Does one durable unit of work: all of it is on the disk at the answer, or
    /// none of it ever will be.
    ///
    /// Units run one after another. An `Err` or a panic undoes this unit alone.
    /// A unit that has not started when the caller goes away never will; one
    /// that has started is finished. More than 4,096 waiting units are refused
    /// with [`Error::Overloaded`].
    ///
    /// `unit` must not begin or end transactions, only savepoints of its own.
    pub async fn write<T, E>(
        &self,
        unit: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let shared = &*self.shared;
        let operation = Operation::begin(&shared.meters.operations, Kind::Write);
        let began = operation.began();
        let work = async {
            shared.faults.check()?;
            let writer = shared.writer.as_ref().ok_or(Error::ReadOnly(None))?;
            writer.write(unit, began).await
        };
        answer::tell(operation.run(pin!(work)).await)
    }

    /// Runs a query on one snapshot of the database.
    ///
    /// It sees every write answered before, and neither waits for writers nor
    /// holds them up.
    pub async fn read<T, E>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let operation = Operation::begin(&self.shared.meters.operations, Kind::Read);
        let work = self.shared.readers.read(query, operation.began());
        answer::tell(operation.run(pin!(work)).await)
    }

    /// Runs a query as [`Self::read`] does, but on the calling thread.
    ///
    /// Only for look-ups by key of a few rows: it holds up the other tasks of
    /// this thread for as long as it takes.
    pub async fn look_up<T, E: From<Error>>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let operation = Operation::begin(&self.shared.meters.operations, Kind::LookUp);
        let work = self.shared.readers.look_up(query, operation.began());
        answer::tell(operation.run(pin!(work)).await)
    }

    /// Ends all clones: finishes what is queued, then gives the file free.
    ///
    /// What comes meanwhile is done or answered with [`Error::Closed`], what
    /// comes later always the latter.
    pub async fn close(&self) {
        // Readers first, for the reason given at `Shared`.
        self.shared.readers.close().await;
        if let Some(writer) = &self.shared.writer {
            writer.close().await;
        }
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sqlite").field("path", &self.shared.path).finish_non_exhaustive()
    }
}
