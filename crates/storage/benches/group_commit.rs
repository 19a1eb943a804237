//! Durable inserts of one row: a transaction each, or grouped as callers come.

use divan::{Bencher, counter::ItemsCount};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::{runtime::Runtime, task::JoinSet};
use trellis_storage::{Error, Migration, Options, Sqlite};

const ROWS: Migration = Migration {
    name: "rows",
    sql: "CREATE TABLE entries (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT",
};
const INSERT: &str = "INSERT INTO entries (text) VALUES ('something to keep')";

/// Rows in one measured round, whoever inserts them.
const ROUND: usize = 512;

fn main() {
    divan::main();
}

/// What a service without group commit pays.
#[divan::bench(sample_count = 10)]
fn alone(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let connection = Connection::open(folder.path().join("bench.db")).expect("the folder is new");
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
        .expect("the file is new");
    connection.execute_batch(ROWS.sql).expect("the file is empty");

    bencher.counter(ItemsCount::new(ROUND)).bench_local(|| {
        for _ in 0..ROUND {
            let mut insert = connection.prepare_cached(INSERT).expect("the table is there");
            insert.execute([]).expect("the disk takes it");
        }
    });
}

#[divan::bench(args = [1, 32, 128], sample_count = 10)]
fn grouped(bencher: Bencher<'_, '_>, callers: usize) {
    let (_folder, runtime, sqlite) = open();
    bencher.counter(ItemsCount::new(ROUND)).bench_local(|| {
        runtime.block_on(concurrently(callers, &sqlite, |sqlite| async move {
            sqlite.write(|tx| Ok::<_, Error>(tx.prepare_cached(INSERT)?.execute([])?)).await
        }));
    });
}

#[divan::bench(args = [1, 32], sample_count = 10)]
fn read(bencher: Bencher<'_, '_>, callers: usize) {
    let (_folder, runtime, sqlite) = open();
    bencher.counter(ItemsCount::new(ROUND)).bench_local(|| {
        runtime.block_on(concurrently(callers, &sqlite, |sqlite| async move {
            let query = |tx: &Connection| {
                let mut query = tx.prepare_cached("SELECT count(*) FROM entries")?;
                Ok::<i64, Error>(query.query_row([], |row| row.get(0))?)
            };
            sqlite.read(query).await
        }));
    });
}

fn open() -> (TempDir, Runtime, Sqlite) {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let runtime = Runtime::new().expect("threads can be started");
    let sqlite = Sqlite::open(&folder.path().join("bench.db"), &[ROWS], &Options::default())
        .expect("the folder is new");
    (folder, runtime, sqlite)
}

async fn concurrently<F, T>(
    callers: usize,
    sqlite: &Sqlite,
    work: impl Fn(Sqlite) -> F + Copy + Send + 'static,
) where
    F: Future<Output = Result<T, Error>> + Send,
    T: 'static,
{
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let sqlite = sqlite.clone();
        tasks.spawn(async move {
            for _ in 0..ROUND / callers {
                work(sqlite.clone()).await.expect("the disk takes it");
            }
        });
    }
    tasks.join_all().await;
}
