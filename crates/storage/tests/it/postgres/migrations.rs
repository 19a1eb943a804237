//! Migrations.

use futures::future::join_all;
use trellis_storage::{Error, Migration, Options, Problem};
use trellis_testkit::Database;

use super::{NOTES, note, notes, notes_database, open, open_with};

const TAGS: Migration =
    Migration { name: "0002_tags", sql: "CREATE TABLE tags (name text NOT NULL)" };

/// Why `migrations` do not fit what is in the database.
async fn problem(database: &Database, migrations: &[Migration], options: &Options) -> Problem {
    let error = open_with(database.url(), migrations, options).await.unwrap_err();
    let Error::Server { source, .. } = error else { panic!("{error:?}") };
    let Error::Migration(problem) = *source else { panic!("{source:?}") };
    problem
}

#[tokio::test]
async fn of_many_processes_that_start_at_once_one_migrates() {
    let Some(database) = Database::postgres().await else { return };
    let options = Options::default();
    let opened = join_all((0..8).map(|_| open(database.url(), &options))).await;
    for opened in opened {
        opened.unwrap();
    }
}

#[tokio::test]
async fn a_migration_is_added_to_what_is_there() {
    let Some((first, database)) = notes_database().await else { return };
    note(&first, "kept").await.unwrap();
    let second = open_with(database.url(), &[NOTES, TAGS], &Options::default()).await.unwrap();
    assert_eq!(notes(&second).await, ["kept"]);
}

#[tokio::test]
async fn a_database_that_does_not_fit_is_refused_with_what_to_do() {
    let Some((_, database)) = notes_database().await else { return };
    let (writer, options) = (Options::default(), Options { read_only: true, ..Options::default() });

    let edited = [Migration { sql: "CREATE TABLE notes (other text)", ..NOTES }];
    assert!(matches!(problem(&database, &edited, &writer).await, Problem::Edited { .. }));
    assert!(matches!(problem(&database, &[], &writer).await, Problem::Unknown { .. }));
    let pending = problem(&database, &[NOTES, TAGS], &options).await;
    assert!(matches!(pending, Problem::Pending { .. }));
    assert!(pending.to_string().contains("trellis migrate"), "{pending}");
}

#[tokio::test]
async fn a_failed_migration_leaves_nothing_behind() {
    let Some((_, database)) = notes_database().await else { return };
    let broken = Migration {
        name: "0002_broken",
        sql: "CREATE TABLE tags (name text); SELECT no_such_function()",
    };
    let options = Options::default();

    assert!(matches!(problem(&database, &[NOTES, broken], &options).await, Problem::Failed { .. }));
    open_with(database.url(), &[NOTES, TAGS], &options).await.unwrap();
}
