//! Crashes on order.

use trellis_storage::{Error, Faults, Options, When};

use super::{crashing, note, notes, notes_database, open};

#[tokio::test]
async fn a_crash_before_the_commit_leaves_nothing_and_ends_everything() {
    let Some((_, kept)) = notes_database().await else { return };
    let faults = Faults::crash(2, When::BeforeCommit);
    let database = open(kept.url(), &crashing(faults.clone())).await.unwrap();

    note(&database, "first").await.unwrap();
    let crashed = note(&database, "second").await.unwrap_err();
    let afterwards = note(&database, "third").await.unwrap_err();

    assert!(matches!((crashed, afterwards), (Error::Closed, Error::Closed)));
    assert!(faults.crashed());
    let restarted = open(kept.url(), &Options::default()).await.unwrap();
    assert_eq!(notes(&restarted).await, ["first"]);
}

#[tokio::test]
async fn a_crash_after_the_commit_keeps_what_nobody_heard_of() {
    let Some((_, kept)) = notes_database().await else { return };
    let database = open(kept.url(), &crashing(Faults::crash(1, When::AfterCommit))).await.unwrap();

    note(&database, "unheard").await.unwrap_err();

    let restarted = open(kept.url(), &Options::default()).await.unwrap();
    assert_eq!(notes(&restarted).await, ["unheard"]);
}

#[tokio::test]
async fn only_units_that_wrote_are_commits() {
    let Some((_, kept)) = notes_database().await else { return };
    let faults = Faults::crash(u64::MAX, When::BeforeCommit);
    let database = open(kept.url(), &crashing(faults.clone())).await.unwrap();

    note(&database, "one").await.unwrap();
    note(&database, "one").await.unwrap_err();
    database.write(|_tx| async { Ok::<_, Error>(()) }).await.unwrap();
    assert_eq!(notes(&database).await, ["one"]);

    assert_eq!(faults.commits(), 1);
}
