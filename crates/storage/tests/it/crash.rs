//! Crashes at a chosen commit.

use trellis_storage::{Error, Faults, When};

use super::{Bench, gate, note, notes};

#[tokio::test]
async fn a_crash_before_the_commit_loses_it() {
    let bench = Bench::new(Faults::crash(2, When::BeforeCommit));
    let sqlite = bench.open();

    note(&sqlite, "first").await.unwrap();
    assert!(!bench.faults.crashed());
    assert!(matches!(note(&sqlite, "second").await, Err(Error::Closed)));
    assert!(bench.faults.crashed());
    assert_eq!(bench.faults.commits(), 2);

    assert_eq!(survivors(&bench).await, ["first"]);
}

#[tokio::test]
async fn a_crash_after_the_commit_loses_only_the_answer() {
    let bench = Bench::new(Faults::crash(2, When::AfterCommit));
    let sqlite = bench.open();

    note(&sqlite, "first").await.unwrap();
    assert!(matches!(note(&sqlite, "second").await, Err(Error::Closed)));

    assert_eq!(survivors(&bench).await, ["first", "second"]);
}

#[tokio::test]
async fn nobody_in_the_crashed_transaction_hears_ok() {
    let bench = Bench::new(Faults::crash(1, When::AfterCommit));
    let sqlite = bench.open();
    let (open, held) = gate(&sqlite);

    let ((), first, second, ()) =
        tokio::join!(held, note(&sqlite, "first"), note(&sqlite, "second"), async {
            open.send(()).unwrap();
        });

    assert!(matches!(first, Err(Error::Closed)));
    assert!(matches!(second, Err(Error::Closed)));
    assert_eq!(survivors(&bench).await, ["first", "second"]);
}

#[tokio::test]
async fn a_crash_takes_every_database_of_the_process_down() {
    let faults = Faults::crash(2, When::BeforeCommit);
    let (here, there) = (Bench::new(faults.clone()), Bench::new(faults.clone()));
    let (sqlite, other) = (here.open(), there.open());

    note(&other, "first").await.unwrap();
    note(&sqlite, "second").await.unwrap_err();

    assert!(matches!(note(&other, "third").await, Err(Error::Closed)));
    assert!(matches!(other.read(super::texts).await, Err(Error::Closed)));
    assert_eq!(faults.commits(), 2);

    assert!(survivors(&here).await.is_empty());
    assert_eq!(survivors(&there).await, ["first"]);
}

/// What a restarted process finds, while handles of the old one still exist.
async fn survivors(bench: &Bench) -> Vec<String> {
    let sqlite = bench.open_with(&trellis_storage::Options::default());
    notes(&sqlite).await
}
