//! A disk that is full, as SQLite itself meets it.

use rusqlite::Connection;
use trellis_storage::{Error, Faults, Sqlite};

use super::{Bench, gate, insert, note, notes};

/// More than the pages that are left in a database that may not grow.
const LARGE: usize = 1_000_000;

#[tokio::test]
async fn nothing_is_acknowledged_that_a_full_disk_undid() {
    let bench = Bench::new(Faults::default());
    let sqlite = bench.open();
    fill(&sqlite).await;
    let (open, held) = gate(&sqlite);

    let ((), first, second, third, ()) = tokio::join!(
        held,
        note(&sqlite, "first"),
        sqlite.write(|tx| insert(tx, &large())),
        note(&sqlite, "third"),
        async { open.send(()).unwrap() }
    );

    assert!(matches!(first, Err(Error::RolledBack)), "{first:?}");
    assert!(matches!(second, Err(Error::Full(_))), "{second:?}");
    third.unwrap();
    assert_eq!(notes(&sqlite).await, ["third"]);

    free(&sqlite).await;
    note(&sqlite, &large()).await.unwrap();
    assert_eq!(notes(&sqlite).await.len(), 2);
}

#[tokio::test]
async fn a_unit_that_ignores_the_full_disk_keeps_nothing() {
    let bench = Bench::new(Faults::default());
    let sqlite = bench.open();
    fill(&sqlite).await;

    let alone = sqlite.write(ignore).await;
    assert!(matches!(alone, Err(Error::RolledBack)), "{alone:?}");

    let (open, held) = gate(&sqlite);
    let ((), first, second, ()) =
        tokio::join!(held, note(&sqlite, "first"), sqlite.write(ignore), async {
            open.send(()).unwrap();
        });
    assert!(matches!(first, Err(Error::RolledBack)), "{first:?}");
    assert!(matches!(second, Err(Error::RolledBack)), "{second:?}");
    assert!(notes(&sqlite).await.is_empty());
}

fn ignore(tx: &Connection) -> Result<(), Error> {
    insert(tx, &large()).unwrap_err();
    insert(tx, "after the fault").or(Ok(()))
}

fn large() -> String {
    "x".repeat(LARGE)
}

async fn fill(sqlite: &Sqlite) {
    sqlite
        .write(|tx| {
            let pages: i64 = tx.query_row("PRAGMA page_count", [], |row| row.get(0))?;
            tx.execute_batch(&format!("PRAGMA max_page_count = {pages}"))?;
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
}

async fn free(sqlite: &Sqlite) {
    sqlite
        .write(|tx| Ok::<_, Error>(tx.execute_batch("PRAGMA max_page_count = 1000000")?))
        .await
        .unwrap();
}
