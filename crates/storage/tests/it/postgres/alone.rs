//! Handles that may not write, and servers that are not there.

use trellis_storage::{Error, Options};
use trellis_telemetry::Metrics;
use trellis_testkit::postgres;

use super::{note, notes, notes_database, open};

#[tokio::test]
async fn a_handle_that_may_not_write_reads() {
    let Some((writer, database)) = notes_database().await else { return };
    note(&writer, "kept").await.unwrap();
    let options = Options { read_only: true, ..Options::default() };
    let reader = open(database.url(), &options).await.unwrap();

    assert_eq!(notes(&reader).await, ["kept"]);
    let refused = note(&reader, "more").await.unwrap_err();
    assert!(matches!(refused, Error::ReadOnly(None)), "{refused:?}");
}

#[tokio::test]
async fn after_it_was_closed_a_handle_answers_so() {
    let Some((database, _kept)) = notes_database().await else { return };
    database.close().await;
    let closed = note(&database, "late").await.unwrap_err();
    assert!(matches!(closed, Error::Closed), "{closed:?}");
}

#[tokio::test]
async fn a_handle_that_is_gone_leaves_no_connection_even_if_its_metrics_are_still_read() {
    let Some((database, kept)) = notes_database().await else { return };
    let metrics = Metrics::default();
    let options = Options { metrics: metrics.clone(), ..Options::default() };
    let counting = open(kept.url(), &options).await.unwrap();
    note(&counting, "kept").await.unwrap();

    drop((database, counting));

    assert!(metrics.text().contains("state=\"idle\"} 0"), "{}", metrics.text());
    // The server refuses while somebody is connected.
    let (server, name) = kept.url().rsplit_once('/').unwrap();
    postgres::execute(&format!("{server}/postgres"), &format!("DROP DATABASE {name}")).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_the_password() {
    let nobody = "postgres://shop:hunter2@127.0.0.1:1/orders";
    let error = open(nobody, &Options::default()).await.unwrap_err();
    let Error::Server { source, .. } = &error else { panic!("{error:?}") };
    assert!(matches!(**source, Error::Lost(Some(_))), "{source:?}");
    assert_eq!(error.to_string(), "cannot use postgres://127.0.0.1:1/orders");
    assert!(!format!("{error:?}").contains("hunter2"));
}
