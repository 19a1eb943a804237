//! Units that share a transaction.

use std::{
    fs,
    future::{poll_fn, ready},
    pin::Pin,
    task::Poll,
};

use rusqlite::Connection;
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
    let held = start(held).await.unwrap_err();
    let mut writers = Vec::new();
    for number in 0..64 {
        let sqlite = sqlite.clone();
        let writer = async move { note(&sqlite, &format!("{number}")).await };
        writers.push(start(writer).await.unwrap_err());
    }

    open.send(()).unwrap();
    held.await;
    for writer in writers {
        writer.await.unwrap();
    }

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
            open.send(()).unwrap();
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
            open.send(()).unwrap();
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
            open.send(()).unwrap();
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
    let held = start(held).await.unwrap_err();

    let mut waiting = Vec::new();
    let refused = loop {
        match start(sqlite.write(|_| Ok(()))).await {
            Ok(answer) => break answer,
            Err(writer) => waiting.push(writer),
        }
    };
    assert!(matches!(refused, Err(Error::Overloaded)));
    // The gate's unit may still have had a place in the queue.
    assert!((4_095..=4_096).contains(&waiting.len()), "{}", waiting.len());

    open.send(()).unwrap();
    held.await;
    for writer in waiting {
        writer.await.unwrap();
    }
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

#[tokio::test]
async fn the_log_does_not_grow_for_ever() {
    const MEGABYTE: usize = 1_000_000;
    let bench = Bench::new(Faults::default());
    let sqlite = bench.open();

    for number in 0..20 {
        note(&sqlite, &number.to_string().repeat(MEGABYTE)).await.unwrap();
    }
    let log = fs::metadata(bench.path().with_extension("db-wal")).unwrap().len();
    assert!(log < 12 * MEGABYTE as u64, "{log} bytes");
}

/// Polls once, and gives the answer or what still waits for it.
async fn start<F: Future>(future: F) -> Result<F::Output, Pin<Box<F>>> {
    let mut future = Box::pin(future);
    let first = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
    match first {
        Poll::Ready(answer) => Ok(answer),
        Poll::Pending => Err(future),
    }
}
