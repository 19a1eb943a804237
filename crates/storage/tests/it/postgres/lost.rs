//! A server that is killed, and one that answers no more.

use std::time::Duration;

use tokio::time::Instant;
use trellis_resilience::context::{self, Inbound};
use trellis_storage::{Error, Options, Tx};
use trellis_testkit::Postgres as Server;

use super::{insert, note, notes, open};

#[tokio::test]
async fn after_its_server_was_killed_and_started_again_a_handle_goes_on() {
    let Some(server) = Server::start().await else { return };
    let url = server.database().await;
    let database = open(&url, &Options::default()).await.unwrap();
    note(&database, "before").await.unwrap();

    server.kill();
    let lost = note(&database, "meanwhile").await.unwrap_err();
    let unread = database.look_up(|tx| insert(tx, "never")).await.unwrap_err();
    server.resume().await;

    assert!(matches!(lost, Error::Lost(_)), "{lost:?}");
    assert!(matches!(unread, Error::Lost(_)), "{unread:?}");
    note(&database, "after").await.unwrap();
    assert_eq!(notes(&database).await, ["after", "before"]);
}

#[tokio::test]
async fn a_unit_that_was_under_way_when_its_server_died_never_happened() {
    let Some(server) = Server::start().await else { return };
    let url = server.database().await;
    let database = open(&url, &Options::default()).await.unwrap();
    let dies = async |mut tx: Tx| {
        sqlx::query("INSERT INTO notes (text) VALUES ('half')").execute(&mut *tx).await?;
        server.kill();
        Ok::<_, Error>(())
    };

    let lost = database.write(&dies).await.unwrap_err();
    server.resume().await;

    assert!(matches!(lost, Error::Lost(_)), "{lost:?}");
    assert_eq!(notes(&database).await, [""; 0]);
}

#[tokio::test]
async fn who_waits_for_a_server_that_is_stopped_is_told_in_time() {
    let Some(server) = Server::start().await else { return };
    let url = server.database().await;
    let database = open(&url, &Options::default()).await.unwrap();
    note(&database, "before").await.unwrap();

    server.stop();
    let deadline = Some(Instant::now() + Duration::from_millis(300));
    let inbound = Inbound { deadline, ..Inbound::default() };
    let (answer, _) = context::scope(inbound, Box::pin(note(&database, "meanwhile"))).await;
    server.go_on();

    assert!(matches!(answer.unwrap_err(), Error::Lost(_)));
    note(&database, "after").await.unwrap();
}
