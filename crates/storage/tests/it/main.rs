//! What the storage promises, asked of real files.

#![expect(clippy::unwrap_used, reason = "a failed test says where")]

mod crash;
mod full_disk;
mod group_commit;
mod idempotency;
mod lease;
mod metrics;
mod migration;
mod opening;
mod postgres;
mod reading;
mod status;
mod traces;

use std::{
    path::PathBuf,
    sync::mpsc::{Sender, channel},
};

use rusqlite::Connection;
use tempfile::TempDir;
use trellis_storage::{Error, Faults, Migration, Options, Sqlite};

const NOTES: Migration = Migration {
    name: "0001_notes",
    sql: "CREATE TABLE notes (text TEXT NOT NULL PRIMARY KEY CHECK (text <> 'refused')) STRICT",
};

/// A folder of its own for a database, and what was injected into it.
struct Bench {
    folder: TempDir,
    faults: Faults,
}

impl Bench {
    fn new(faults: Faults) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), faults }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("data/notes.db")
    }

    fn open(&self) -> Sqlite {
        self.open_with(&Options { faults: self.faults.clone(), ..Options::default() })
    }

    fn open_with(&self, options: &Options) -> Sqlite {
        Sqlite::open(&self.path(), &[NOTES], options).unwrap()
    }
}

fn insert(tx: &Connection, text: &str) -> Result<(), Error> {
    tx.prepare_cached("INSERT INTO notes (text) VALUES (?1)")?.execute([text])?;
    Ok(())
}

async fn note(sqlite: &Sqlite, text: &str) -> Result<(), Error> {
    let text = text.to_owned();
    sqlite.write(move |tx| insert(tx, &text)).await
}

fn texts(tx: &Connection) -> Result<Vec<String>, Error> {
    let mut statement = tx.prepare_cached("SELECT text FROM notes ORDER BY text")?;
    let texts = statement.query_map([], |row| row.get(0))?;
    Ok(texts.collect::<Result<_, _>>()?)
}

async fn notes(sqlite: &Sqlite) -> Vec<String> {
    sqlite.read(texts).await.unwrap()
}

/// Stops the writer until something is sent, so that all that is queued
/// behind it shares one transaction.
fn gate(sqlite: &Sqlite) -> (Sender<()>, impl Future<Output = ()> + use<>) {
    let (open, opened) = channel();
    let sqlite = sqlite.clone();
    let wait = async move {
        let held = sqlite.write(move |_| {
            opened.recv().unwrap();
            Err::<(), _>(Error::Overloaded)
        });
        held.await.unwrap_err();
    };
    (open, wait)
}
