//! Queries.

use std::sync::mpsc::channel;

use trellis_storage::{Error, Faults, Options};

use super::{Bench, insert, note, notes, texts};

#[tokio::test]
async fn a_query_sees_one_snapshot_and_holds_up_no_writer() {
    let bench = Bench::new(Faults::default());
    let sqlite = bench.open();
    let (looked, has_looked) = tokio::sync::oneshot::channel();
    let (written, was_written) = channel();

    let query = sqlite.read(move |tx| {
        let before = texts(tx)?;
        looked.send(()).unwrap();
        was_written.recv().unwrap();
        Ok::<_, Error>((before, texts(tx)?))
    });
    let write = async {
        has_looked.await.unwrap();
        note(&sqlite, "meanwhile").await.unwrap();
        written.send(()).unwrap();
    };
    let (seen, ()) = tokio::join!(query, write);

    let (before, after) = seen.unwrap();
    assert!(before.is_empty());
    assert!(after.is_empty());
    assert_eq!(notes(&sqlite).await, ["meanwhile"]);
}

#[tokio::test]
async fn a_query_cannot_write() {
    let bench = Bench::new(Faults::default());
    let sqlite = bench.open();
    let written = sqlite.read(|tx| insert(tx, "by a reader")).await;
    assert!(matches!(written, Err(Error::ReadOnly(Some(_)))), "{written:?}");
    assert!(notes(&sqlite).await.is_empty());
}

#[tokio::test]
async fn a_query_that_panics_takes_no_reader_away() {
    let bench = Bench::new(Faults::default());
    let sqlite = bench.open_with(&Options { readers: 1, ..Options::default() });
    for _ in 0..3 {
        let panicked = sqlite.read(|_| -> Result<(), Error> { panic!("as this test wants") });
        assert!(matches!(panicked.await, Err(Error::Panicked)));
    }
    assert!(notes(&sqlite).await.is_empty());
}

#[tokio::test]
async fn a_query_that_fails_takes_no_reader_away() {
    let bench = Bench::new(Faults::default());
    let sqlite = bench.open_with(&Options { readers: 1, ..Options::default() });
    let failed = sqlite.read(|tx| Ok::<_, Error>(tx.execute_batch("SELECT nothing")?)).await;
    assert!(matches!(failed, Err(Error::Statement(_))));
    assert!(notes(&sqlite).await.is_empty());
}
