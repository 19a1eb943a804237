//! Units of work.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::Barrier;
use tokio::time::Instant;
use trellis_resilience::context::{self, Inbound};
use trellis_storage::{Error, Options, Tx};

use super::{note, notes, notes_database, open};

#[tokio::test]
async fn what_was_answered_is_there_for_all() {
    let Some((database, kept)) = notes_database().await else { return };
    note(&database, "first").await.unwrap();
    let other = open(kept.url(), &Options::default()).await.unwrap();
    assert_eq!(notes(&other).await, ["first"]);
}

#[tokio::test]
async fn a_unit_that_fails_leaves_nothing_behind() {
    let Some((database, _kept)) = notes_database().await else { return };
    let fails = async |mut tx: Tx| {
        sqlx::query("INSERT INTO notes (text) VALUES ('half')").execute(&mut *tx).await?;
        Err::<(), _>(Error::Overloaded)
    };
    let failed = database.write(&fails).await.unwrap_err();
    assert!(matches!(failed, Error::Overloaded));
    assert_eq!(notes(&database).await, [""; 0]);
}

#[tokio::test]
async fn a_unit_that_hides_a_failed_statement_is_not_taken_for_done() {
    let Some((database, _kept)) = notes_database().await else { return };
    let hides = async |mut tx: Tx| {
        sqlx::query("INSERT INTO notes (text) VALUES ('half')").execute(&mut *tx).await?;
        let hidden = sqlx::query("INSERT INTO notes (text) VALUES ('refused')");
        let _ = hidden.execute(&mut *tx).await;
        Ok::<_, Error>(())
    };
    database.write(&hides).await.unwrap_err();
    assert_eq!(notes(&database).await, [""; 0]);
    note(&database, "after it").await.unwrap();
}

#[tokio::test]
async fn a_refusal_names_its_constraint_and_no_value() {
    let Some((database, _kept)) = notes_database().await else { return };
    note(&database, "hunter2").await.unwrap();

    let twice = note(&database, "hunter2").await.unwrap_err();
    let refused = note(&database, "refused").await.unwrap_err();

    assert_eq!(twice.constraint(), Some("notes_pkey"));
    assert_eq!(refused.constraint(), Some("notes_not_refused"));
    assert!(!format!("{twice:?} {twice}").contains("hunter2"), "{twice:?}");
    let number = async |mut tx: Tx| {
        Ok::<i64, Error>(
            sqlx::query_scalar("SELECT text::bigint FROM notes").fetch_one(&mut *tx).await?,
        )
    };
    let no_number = database.look_up(&number).await.unwrap_err();
    assert!(matches!(no_number, Error::Statement(_)), "{no_number:?}");
    assert!(!format!("{no_number:?}").contains("hunter2"), "{no_number:?}");
}

/// Each locks one row and then that of the other: one of them has to be undone.
#[tokio::test]
async fn units_in_a_deadlock_are_all_done_in_the_end() {
    let Some((database, _kept)) = notes_database().await else { return };
    note(&database, "a").await.unwrap();
    note(&database, "b").await.unwrap();
    let (meeting, attempts) = (Barrier::new(2), AtomicU32::new(0));
    let add = async |mut tx: Tx, first: &str, second: &str| {
        let add = "UPDATE notes SET number = number + 1 WHERE text = $1";
        sqlx::query(add).bind(first).execute(&mut *tx).await?;
        if attempts.fetch_add(1, Ordering::SeqCst) < 2 {
            meeting.wait().await;
        }
        sqlx::query(add).bind(second).execute(&mut *tx).await?;
        Ok::<_, Error>(())
    };

    let (one, other) = tokio::join!(
        database.write(|tx| add(tx, "a", "b")),
        database.write(|tx| add(tx, "b", "a")),
    );

    one.unwrap();
    other.unwrap();
    assert_eq!(attempts.load(Ordering::SeqCst), 3);
    let sum = async |mut tx: Tx| {
        let sum = "SELECT sum(number)::bigint FROM notes";
        Ok::<i64, Error>(sqlx::query_scalar(sum).fetch_one(&mut *tx).await?)
    };
    assert_eq!(database.look_up(&sum).await.unwrap(), 4);
}

#[tokio::test]
async fn a_read_sees_one_moment_and_changes_nothing() {
    let Some((database, _kept)) = notes_database().await else { return };
    let count = "SELECT count(*) FROM notes";
    let counts = async |mut tx: Tx| {
        let before: i64 = sqlx::query_scalar(count).fetch_one(&mut *tx).await?;
        note(&database, "meanwhile").await?;
        let after: i64 = sqlx::query_scalar(count).fetch_one(&mut *tx).await?;
        Ok::<_, Error>((before, after))
    };
    assert_eq!(database.read(&counts).await.unwrap(), (0, 0));

    let writes = async |mut tx: Tx| {
        sqlx::query("DELETE FROM notes").execute(&mut *tx).await?;
        Ok::<_, Error>(())
    };
    let refused = database.read(&writes).await.unwrap_err();
    assert!(matches!(refused, Error::ReadOnly(_)), "{refused:?}");
}

#[tokio::test]
async fn a_unit_whose_caller_went_away_is_undone_and_its_connection_used_again() {
    let Some((_, kept)) = notes_database().await else { return };
    let options = Options { connections: 1, ..Options::default() };
    let database = open(kept.url(), &options).await.unwrap();
    let begun = tokio::sync::Notify::new();
    let hangs = async |mut tx: Tx| {
        sqlx::query("INSERT INTO notes (text) VALUES ('half')").execute(&mut *tx).await?;
        begun.notify_one();
        std::future::pending::<Result<(), Error>>().await
    };

    tokio::select! {
        _ = database.write(&hangs) => panic!("it hangs"),
        () = begun.notified() => {}
    }

    note(&database, "whole").await.unwrap();
    assert_eq!(notes(&database).await, ["whole"]);
}

#[tokio::test]
async fn a_statement_ends_with_the_deadline_of_its_call() {
    let Some((database, _kept)) = notes_database().await else { return };
    let deadline = Some(Instant::now() + Duration::from_millis(300));
    let inbound = Inbound { deadline, ..Inbound::default() };
    let sleeps = async |mut tx: Tx| {
        sqlx::query("SELECT pg_sleep(60)").execute(&mut *tx).await?;
        Ok::<_, Error>(())
    };
    let work = database.write(&sleeps);
    let (answer, _) = context::scope(inbound, Box::pin(work)).await;
    assert!(matches!(answer.unwrap_err(), Error::Busy(_)));
}

#[tokio::test]
async fn a_look_up_that_takes_too_long_costs_no_other_its_connection() {
    let Some((_, kept)) = notes_database().await else { return };
    let options = Options { connections: 2, ..Options::default() };
    let database = open(kept.url(), &options).await.unwrap();
    let meeting = Barrier::new(2);
    let id = async |mut tx: Tx| {
        let id = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *tx).await?;
        meeting.wait().await;
        Ok::<i32, Error>(id)
    };
    let (one, other) = tokio::join!(database.look_up(&id), database.look_up(&id));
    let connections = [one.unwrap(), other.unwrap()];
    let sleeps = async |mut tx: Tx| {
        sqlx::query("SELECT pg_sleep(60)").execute(&mut *tx).await?;
        Ok::<_, Error>(())
    };

    let deadline = Some(Instant::now() + Duration::from_millis(100));
    let inbound = Inbound { deadline, ..Inbound::default() };
    let (slow, _) = context::scope(inbound, Box::pin(database.look_up(&sleeps))).await;
    let (one, other) = tokio::join!(database.look_up(&id), database.look_up(&id));

    assert!(matches!(slow.unwrap_err(), Error::Busy(_)));
    let kept = [one.unwrap(), other.unwrap()];
    assert_eq!(kept.iter().filter(|id| connections.contains(id)).count(), 1);
}

#[tokio::test]
async fn who_finds_all_connections_in_use_is_told_so() {
    let Some((_, kept)) = notes_database().await else { return };
    let options = Options { connections: 2, ..Options::default() };
    let database = open(kept.url(), &options).await.unwrap();
    let (full, free) = (Barrier::new(3), tokio::sync::Semaphore::new(0));
    let holds = async |mut tx: Tx, text: &str| {
        sqlx::query("INSERT INTO notes (text) VALUES ($1)").bind(text).execute(&mut *tx).await?;
        full.wait().await;
        let _ = free.acquire().await;
        Ok::<_, Error>(())
    };
    let holders = join_all(["one", "two"].map(|text| {
        let (database, holds) = (&database, &holds);
        async move { database.write(|tx| holds(tx, text)).await }
    }));
    let third = async {
        full.wait().await;
        let refused = note(&database, "three").await.unwrap_err();
        free.add_permits(2);
        refused
    };

    let (held, refused) = tokio::join!(holders, third);

    assert!(matches!(refused, Error::Overloaded), "{refused:?}");
    assert!(held.iter().all(Result::is_ok));
    assert_eq!(notes(&database).await, ["one", "two"]);
}
