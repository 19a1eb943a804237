//! Opening, sharing and closing a file.

use std::fs;

use trellis_storage::{Error, Faults, Options, Sqlite};

use super::{Bench, NOTES, note, notes};

#[tokio::test]
async fn a_second_server_on_the_same_file_is_refused() {
    let bench = Bench::new(Faults::default());
    let sqlite = bench.open();

    let error = Sqlite::open(&bench.path(), &[NOTES], &Options::default()).unwrap_err();
    assert!(matches!(error, Error::InUse { .. }));
    let message = error.to_string();
    assert!(message.contains("notes.db is in use by another process"), "{message}");
    assert!(message.contains("stop that process"), "{message}");
    note(&sqlite, "undisturbed").await.unwrap();
}

#[tokio::test]
async fn another_process_may_read_beside_the_server() {
    let bench = Bench::new(Faults::default());
    let sqlite = bench.open();
    note(&sqlite, "first").await.unwrap();

    let audit = bench.open_with(&Options { read_only: true, ..Options::default() });
    assert_eq!(notes(&audit).await, ["first"]);
    note(&sqlite, "second").await.unwrap();
    assert_eq!(notes(&audit).await, ["first", "second"]);

    let written = note(&audit, "third").await;
    assert!(matches!(written, Err(Error::ReadOnly(_))), "{written:?}");
}

#[tokio::test]
async fn a_closed_database_leaves_one_file_and_can_be_opened_at_once() {
    let bench = Bench::new(Faults::default());
    let sqlite = bench.open();
    let clone = sqlite.clone();
    note(&sqlite, "kept").await.unwrap();
    notes(&sqlite).await;

    sqlite.close().await;
    sqlite.close().await;

    assert!(matches!(note(&clone, "too late").await, Err(Error::Closed)));
    assert!(matches!(clone.read(super::texts).await, Err(Error::Closed)));
    assert!(!fs::exists(bench.path().with_extension("db-wal")).unwrap());
    assert_eq!(notes(&bench.open()).await, ["kept"]);
}

#[tokio::test]
async fn closing_finishes_what_is_queued() {
    let bench = Bench::new(Faults::default());
    let sqlite = bench.open();
    let (open, held) = super::gate(&sqlite);

    let ((), queued, (), ()) = tokio::join!(held, note(&sqlite, "queued"), sqlite.close(), async {
        open.send(()).unwrap();
    });

    queued.unwrap();
    assert_eq!(notes(&bench.open()).await, ["queued"]);
}

#[tokio::test]
async fn a_dropped_database_gives_its_file_free() {
    let bench = Bench::new(Faults::default());
    let sqlite = bench.open();
    note(&sqlite, "kept").await.unwrap();
    drop(sqlite);

    assert_eq!(notes(&bench.open()).await, ["kept"]);
}

#[test]
fn what_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("a folder", folder.path().to_owned()),
        ("below a file", {
            fs::write(folder.path().join("file"), "").unwrap();
            folder.path().join("file/notes.db")
        }),
    ];
    for (case, path) in cases {
        let error = Sqlite::open(&path, &[NOTES], &Options::default()).unwrap_err();
        assert!(matches!(error, Error::Open { .. }), "{case}: {error:?}");
        assert_eq!(error.to_string(), format!("cannot open {}", path.display()), "{case}");
    }
}

#[test]
fn what_is_not_a_database_is_left_alone() {
    let bench = Bench::new(Faults::default());
    fs::create_dir_all(bench.path().parent().unwrap()).unwrap();
    fs::write(bench.path(), "a shopping list ".repeat(1_000)).unwrap();

    let error = Sqlite::open(&bench.path(), &[NOTES], &Options::default()).unwrap_err();
    let Error::Open { source, .. } = error else { panic!("{error:?}") };
    assert!(matches!(*source, Error::Corrupt(_)), "{source:?}");
}

#[test]
fn a_missing_file_is_not_made_by_a_reader() {
    let bench = Bench::new(Faults::default());
    let options = Options { read_only: true, ..Options::default() };
    Sqlite::open(&bench.path(), &[NOTES], &options).unwrap_err();
    assert!(!fs::exists(bench.path()).unwrap());
}
