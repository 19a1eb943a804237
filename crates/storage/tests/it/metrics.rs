//! What a database counts, as whoever reads the metrics sees it.

use std::{future::poll_fn, pin::Pin, sync::mpsc::channel, task::Poll, time::Duration};

use trellis_storage::{Error, Faults, Options, Sqlite, When};
use trellis_telemetry::Metrics;

use super::{Bench, gate, insert, note, notes, texts};

/// A database that counts where the test reads.
fn open(bench: &Bench, readers: usize) -> (Sqlite, Metrics) {
    let metrics = Metrics::default();
    let faults = bench.faults.clone();
    let options = Options { readers, faults, metrics: metrics.clone(), ..Options::default() };
    (bench.open_with(&options), metrics)
}

/// The value of a series; `None` if it is not shown.
fn value(metrics: &Metrics, series: &str) -> Option<f64> {
    let text = metrics.text();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

/// How many units of work ended so; `failure` is empty for a success.
fn ended(metrics: &Metrics, operation: &str, failure: &str) -> Option<f64> {
    let failure =
        if failure.is_empty() { String::new() } else { format!(r#",error_type="{failure}""#) };
    let labels = format!(
        r#"db_system_name="sqlite",db_namespace="notes",db_operation_name="{operation}"{failure}"#
    );
    value(metrics, &format!("db_client_operation_duration_seconds_count{{{labels}}}"))
}

/// Connections in use, those that are free, and units that wait for one.
fn pool(metrics: &Metrics, name: &str) -> (f64, f64, f64) {
    let pool = format!(r#"db_client_connection_pool_name="notes.{name}""#);
    let connections = |state: &str| {
        let labels = format!(r#"{pool},db_client_connection_state="{state}""#);
        value(metrics, &format!("db_client_connection_count{{{labels}}}")).unwrap()
    };
    let pending = value(metrics, &format!("db_client_connection_pending_requests{{{pool}}}"));
    (connections("used"), connections("idle"), pending.unwrap())
}

fn waits(metrics: &Metrics, name: &str, figure: &str) -> Option<f64> {
    let pool = format!(r#"{{db_client_connection_pool_name="notes.{name}"}}"#);
    value(metrics, &format!("db_client_connection_wait_time_seconds_{figure}{pool}"))
}

/// Runs a future until it waits.
async fn begin<F: Future>(future: &mut Pin<Box<F>>) {
    poll_fn(|context| {
        assert!(future.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
}

#[tokio::test]
async fn units_of_work_are_counted_by_what_they_do_and_how_they_end() {
    let bench = Bench::new(Faults::default());
    let (sqlite, metrics) = open(&bench, 0);
    for operation in ["write", "read", "look_up"] {
        assert_eq!(ended(&metrics, operation, ""), Some(0.0), "shown before the first one");
    }

    note(&sqlite, "kept").await.unwrap();
    notes(&sqlite).await;
    sqlite.look_up(texts).await.unwrap();
    sqlite.look_up(texts).await.unwrap();
    sqlite.read(|tx| insert(tx, "by a reader")).await.unwrap_err();
    sqlite.look_up(|tx| Ok::<_, Error>(tx.execute_batch("SELECT nothing")?)).await.unwrap_err();
    sqlite.write(|_| -> Result<(), Error> { panic!("as this test wants") }).await.unwrap_err();

    assert_eq!(ended(&metrics, "write", ""), Some(1.0));
    assert_eq!(ended(&metrics, "read", ""), Some(1.0));
    assert_eq!(ended(&metrics, "look_up", ""), Some(2.0));
    assert_eq!(ended(&metrics, "read", "read_only"), Some(1.0));
    assert_eq!(ended(&metrics, "look_up", "statement"), Some(1.0));
    assert_eq!(ended(&metrics, "write", "panicked"), Some(1.0));
}

#[tokio::test]
async fn what_a_unit_decides_itself_is_no_failure_of_storage() {
    /// A caller's own error, which may have storage behind it.
    #[derive(Debug)]
    enum Refusal {
        Empty,
        Taken,
        Storage,
    }
    impl From<Error> for Refusal {
        fn from(error: Error) -> Self {
            if error.constraint().is_some() { Self::Taken } else { Self::Storage }
        }
    }
    let bench = Bench::new(Faults::default());
    let (sqlite, metrics) = open(&bench, 0);

    let empty = sqlite.write(|_| Err::<(), _>(Refusal::Empty)).await;
    let taken = sqlite.write(|tx| Ok::<_, Refusal>(insert(tx, "refused")?)).await;
    let failed = sqlite.write(|tx| {
        let failed = tx.execute_batch("SELECT nothing").map_err(Error::from);
        failed.map_err(Refusal::from)
    });
    let failed = failed.await;

    assert!(matches!(empty, Err(Refusal::Empty)));
    assert!(matches!(taken, Err(Refusal::Taken)));
    assert!(matches!(failed, Err(Refusal::Storage)));
    assert_eq!(ended(&metrics, "write", ""), Some(2.0));
    assert_eq!(ended(&metrics, "write", "statement"), Some(1.0));
    let fault_that_was_got_over = sqlite.write(|tx| {
        let _ = tx.execute_batch("SELECT nothing").map_err(Error::from);
        Ok::<_, Error>(())
    });
    fault_that_was_got_over.await.unwrap();
    assert_eq!(ended(&metrics, "write", ""), Some(3.0));
}

#[tokio::test]
async fn a_unit_whose_commit_is_lost_is_a_failure_of_storage() {
    let bench = Bench::new(Faults::crash(1, When::BeforeCommit));
    let (sqlite, metrics) = open(&bench, 0);

    note(&sqlite, "lost").await.unwrap_err();

    assert_eq!(ended(&metrics, "write", "closed"), Some(1.0));
    assert_eq!(ended(&metrics, "write", ""), Some(0.0));
}

#[tokio::test]
async fn writes_that_wait_are_pending_and_share_a_commit() {
    let bench = Bench::new(Faults::default());
    let (sqlite, metrics) = open(&bench, 0);
    let (go, held) = gate(&sqlite);
    let mut held = Box::pin(held);
    begin(&mut held).await;
    let writes = (0..3).map(|number| {
        let sqlite = sqlite.clone();
        Box::pin(async move { note(&sqlite, &format!("{number}")).await })
    });
    let mut writes: Vec<_> = writes.collect();
    for write in &mut writes {
        begin(write).await;
    }
    // The thread has taken the one that holds it up.
    while pool(&metrics, "writer") != (1.0, 0.0, 3.0) {
        tokio::task::yield_now().await;
    }
    assert_eq!(waits(&metrics, "writer", "count"), Some(1.0));

    // Nothing is waited for: this is the time that they shall have waited.
    std::thread::sleep(Duration::from_millis(2));
    go.send(()).unwrap();
    held.await;
    for write in writes {
        write.await.unwrap();
    }

    assert_eq!(waits(&metrics, "writer", "count"), Some(4.0));
    assert!(Some(3.0 * 0.002) <= waits(&metrics, "writer", "sum"), "each waited for 2 ms");
    let commits = |figure| {
        value(&metrics, &format!("trellis_storage_commit_{figure}{{db_namespace=\"notes\"}}"))
    };
    assert_eq!(commits("units_count"), Some(1.0));
    assert_eq!(commits("units_sum"), Some(3.0));
    assert_eq!(commits("duration_seconds_count"), Some(1.0));
    assert!(commits("duration_seconds_sum") > Some(0.0));
    while pool(&metrics, "writer") != (0.0, 1.0, 0.0) {
        tokio::task::yield_now().await;
    }
    let max = r#"db_client_connection_max{db_client_connection_pool_name="notes.writer"}"#;
    assert_eq!(value(&metrics, max), Some(1.0));
}

#[tokio::test]
async fn a_commit_that_changes_nothing_is_not_counted() {
    let bench = Bench::new(Faults::default());
    let (sqlite, metrics) = open(&bench, 0);

    sqlite.write(texts).await.unwrap();

    let commits = r#"trellis_storage_commit_units_count{db_namespace="notes"}"#;
    assert_eq!(value(&metrics, commits), Some(0.0));
}

#[tokio::test]
async fn queries_that_wait_are_pending() {
    let bench = Bench::new(Faults::default());
    let (sqlite, metrics) = open(&bench, 1);
    assert_eq!(pool(&metrics, "readers"), (0.0, 0.0, 0.0), "none is open yet");
    let (go, wait) = channel();
    let mut held = Box::pin(sqlite.read(move |_| {
        wait.recv().unwrap();
        Ok::<_, Error>(())
    }));
    begin(&mut held).await;
    let mut second = Box::pin(sqlite.look_up(texts));
    begin(&mut second).await;

    assert_eq!(pool(&metrics, "readers"), (1.0, 0.0, 1.0));

    go.send(()).unwrap();
    let (held, second) = tokio::join!(held, second);
    held.unwrap();
    second.unwrap();
    assert_eq!(pool(&metrics, "readers"), (0.0, 1.0, 0.0));
    assert_eq!(waits(&metrics, "readers", "count"), Some(2.0));
    assert!(Some(0.0) < waits(&metrics, "readers", "sum"));
    let max = r#"db_client_connection_max{db_client_connection_pool_name="notes.readers"}"#;
    assert_eq!(value(&metrics, max), Some(1.0));
}

#[tokio::test]
async fn a_unit_whose_caller_went_away_is_counted_as_abandoned() {
    let bench = Bench::new(Faults::default());
    let (sqlite, metrics) = open(&bench, 0);
    let (go, held) = gate(&sqlite);
    let mut held = Box::pin(held);
    begin(&mut held).await;
    let mut write = Box::pin(note(&sqlite, "nobody waits"));
    begin(&mut write).await;

    drop(write);

    assert_eq!(ended(&metrics, "write", "abandoned"), Some(1.0));
    go.send(()).unwrap();
    held.await;
    assert!(notes(&sqlite).await.is_empty());
}

#[tokio::test]
async fn the_files_have_their_sizes() {
    let bench = Bench::new(Faults::default());
    let (sqlite, metrics) = open(&bench, 0);
    note(&sqlite, "kept").await.unwrap();

    let size = |file: &str| {
        let labels = format!(r#"{{db_namespace="notes",file="{file}"}}"#);
        value(&metrics, &format!("trellis_storage_size_bytes{labels}"))
    };
    let on_disk = |path| {
        let length = std::fs::metadata(path).unwrap().len();
        Some(f64::from(u32::try_from(length).unwrap()))
    };
    assert_eq!(size("database"), on_disk(bench.path()));
    assert_eq!(size("log"), on_disk(bench.path().with_extension("db-wal")));
    assert!(Some(0.0) < size("log"));
}

#[tokio::test]
async fn metrics_keep_no_database_open() {
    let bench = Bench::new(Faults::default());
    let (sqlite, metrics) = open(&bench, 0);
    notes(&sqlite).await;
    assert_eq!(pool(&metrics, "readers"), (0.0, 1.0, 0.0));

    drop(sqlite);
    let again = bench.open();

    assert_eq!(pool(&metrics, "readers"), (0.0, 0.0, 0.0));
    assert_eq!(pool(&metrics, "writer"), (0.0, 0.0, 0.0));
    again.close().await;
}

#[tokio::test]
async fn a_closed_database_has_no_connections() {
    let bench = Bench::new(Faults::default());
    let (sqlite, metrics) = open(&bench, 0);
    notes(&sqlite).await;

    sqlite.close().await;

    assert_eq!(pool(&metrics, "readers"), (0.0, 0.0, 0.0));
    assert_eq!(pool(&metrics, "writer"), (0.0, 0.0, 0.0));
    note(&sqlite, "late").await.unwrap_err();
    assert_eq!(ended(&metrics, "write", "closed"), Some(1.0));
}
