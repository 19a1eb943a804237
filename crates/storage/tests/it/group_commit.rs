//! Units that share a transaction.

use std::{fs, future::ready};

use rusqlite::Connection;
use tokio::task::JoinSet;
use trellis_storage::{Error, Faults};

use super::{Bench, gate, insert, note, notes};

#[tokio::test]
async fn an_answered_write_is_in_the_files() {
    let bench = Bench::new(Faults::default());
    let sqlite = bench.open();
    note(&sqlite, "kept").await.unwrap();

    let copy = bench.folder.path().join("copy.db");
    fs::copy(bench.path(), &copy).unwrap();
    fs::copy(bench.path().with_extension("db-wal"), copy.with_extension("db-wal")).unwrap();

    let found: String = Connection::open(copy)
        .unwrap()
        .query_row("SELECT text FROM notes", [], |row| row.get(0))
        .unwrap();
    assert_eq!(found, "kept");
}

#[tokio::test]
async fn a_commit_waits_for_the_disk() {
    let bench = Bench::new(Faults::default());
    let sqlite = bench.open();
    let level = sqlite
        .write(|tx| Ok::<i32, Error>(tx.query_row("PRAGMA synchronous", [], |row| row.get(0))?))
        .await
        .unwrap();
    assert_eq!(level, 2, "which is FULL");
}

#[tokio::test]
async fn many_writers_share_commits_and_all_land() {
    let bench = Bench::new(Faults::default());
    let sqlite = bench.open();

    let (open, held) = gate(&sqlite);
    let mut writers = JoinSet::new();
    writers.spawn(held);
    tokio::task::yield_now().await;
    for number in 0..64 {
        let sqlite = sqlite.clone();
        writers.spawn(async move { note(&sqlite, &format!("{number}")).await.unwrap() });
    }
    tokio::task::yield_now().await;
    open.send(()).unwrap();
    writers.join_all().await;

    assert_eq!(notes(&sqlite).await.len(), 64);
    assert_eq!(bench.faults.commits(), 1);
}

#[tokio::test]
async fn a_failed_unit_is_undone_alone() {
    let bench = Bench::new(Faults::default());
    let sqlite = bench.open();
    let (open, held) = gate(&sqlite);

    let half = sqlite.write(|tx| {
        insert(tx, "half")?;
        insert(tx, "refused")
    });
    let ((), first, second, third, ()) =
        tokio::join!(held, note(&sqlite, "first"), half, note(&sqlite, "third"), async {
            open.send(()).unwrap()
        });

    first.unwrap();
    assert!(matches!(second, Err(Error::Constraint { .. })));
    third.unwrap();
    assert_eq!(notes(&sqlite).await, ["first", "third"]);
    assert_eq!(bench.faults.commits(), 1);
}

#[tokio::test]
async fn a_unit_that_fails_first_costs_the_others_nothing() {
    let bench = Bench::new(Faults::default());
    let sqlite = bench.open();
    let (open, held) = gate(&sqlite);

    let ((), first, second, ()) =
        tokio::join!(held, note(&sqlite, "refused"), note(&sqlite, "second"), async {
            open.send(()).unwrap()
        });

    assert!(matches!(first, Err(Error::Constraint { .. })));
    second.unwrap();
    assert_eq!(notes(&sqlite).await, ["second"]);
}

#[tokio::test]
async fn a_panic_is_undone_and_told_to_its_caller_alone() {
    let bench = Bench::new(Faults::default());
    let sqlite = bench.open();
    let (open, held) = gate(&sqlite);

    let panics = sqlite.write(|tx| -> Result<(), Error> {
        insert(tx, "half")?;
        panic!("as this test wants");
    });
    let ((), first, second, third, ()) =
        tokio::join!(held, note(&sqlite, "first"), panics, note(&sqlite, "third"), async {
            open.send(()).unwrap()
        });

    first.unwrap();
    assert!(matches!(second, Err(Error::Panicked)));
    third.unwrap();
    assert_eq!(notes(&sqlite).await, ["first", "third"]);
}

#[tokio::test]
async fn a_unit_whose_caller_went_away_is_not_started() {
    let bench = Bench::new(Faults::default());
    let sqlite = bench.open();
    let (open, held) = gate(&sqlite);

    let cancelled = async {
        tokio::select! {
            biased;
            _ = note(&sqlite, "cancelled") => panic!("the gate is still closed"),
            () = ready(()) => {}
        }
    };
    let ((), (), kept, ()) =
        tokio::join!(held, cancelled, note(&sqlite, "kept"), async { open.send(()).unwrap() });

    kept.unwrap();
    assert_eq!(notes(&sqlite).await, ["kept"]);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let bench = Bench::new(Faults::default());
    let sqlite = bench.open();
    let (open, held) = gate(&sqlite);
    let mut writers = JoinSet::new();
    writers.spawn(held);
    tokio::task::yield_now().await;

    // One of them may be in the writer's hands already.
    for _ in 0..=4_096 {
        let sqlite = sqlite.clone();
        writers.spawn(async move {
            match sqlite.write(|_| Ok(())).await {
                Ok(()) | Err(Error::Overloaded) => {}
                Err(error) => panic!("{error}"),
            }
        });
    }
    tokio::task::yield_now().await;

    assert!(matches!(note(&sqlite, "too much").await, Err(Error::Overloaded)));
    open.send(()).unwrap();
    writers.join_all().await;
    note(&sqlite, "later").await.unwrap();
}

#[tokio::test]
async fn a_unit_cannot_commit_on_its_own() {
    let bench = Bench::new(Faults::default());
    let sqlite = bench.open();
    let (open, held) = gate(&sqlite);

    let commits = sqlite.write(|tx| {
        insert(tx, "second")?;
        Ok::<_, Error>(tx.execute_batch("COMMIT")?)
    });
    let ((), first, second, ()) =
        tokio::join!(held, note(&sqlite, "first"), commits, async { open.send(()).unwrap() });

    assert!(matches!(first, Err(Error::RolledBack)));
    second.unwrap_err();
    assert!(notes(&sqlite).await.is_empty());
}

#[tokio::test]
async fn a_unit_that_changes_nothing_is_no_commit() {
    let bench = Bench::new(Faults::default());
    let sqlite = bench.open();

    sqlite.write(|_| Ok::<_, Error>(())).await.unwrap();
    note(&sqlite, "refused").await.unwrap_err();
    assert_eq!(bench.faults.commits(), 0);
}
