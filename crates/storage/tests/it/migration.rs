//! Migrations.

use trellis_storage::{Error, Faults, Migration, Options, Problem, Sqlite};

use super::{Bench, NOTES, note, notes};

const TAGS: Migration =
    Migration { name: "0002_tags", sql: "CREATE TABLE tags (name TEXT NOT NULL) STRICT" };

async fn migrated() -> Bench {
    let bench = Bench::new(Faults::default());
    let sqlite = bench.open();
    note(&sqlite, "kept").await.unwrap();
    sqlite.close().await;
    bench
}

/// Why `migrations` do not fit what is in the file.
fn problem(bench: &Bench, migrations: &[Migration]) -> Problem {
    let error = Sqlite::open(&bench.path(), migrations, &Options::default()).unwrap_err();
    let Error::Open { source, .. } = error else { panic!("{error:?}") };
    let Error::Migration(problem) = *source else { panic!("{source:?}") };
    problem
}

#[tokio::test]
async fn a_migration_is_applied_once() {
    let bench = migrated().await;
    let sqlite = Sqlite::open(&bench.path(), &[NOTES, TAGS], &Options::default()).unwrap();
    assert_eq!(notes(&sqlite).await, ["kept"]);
    sqlite.close().await;

    let sqlite = Sqlite::open(&bench.path(), &[NOTES, TAGS], &Options::default()).unwrap();
    assert_eq!(notes(&sqlite).await, ["kept"]);
}

#[tokio::test]
async fn an_edited_migration_is_refused() {
    let bench = migrated().await;
    let edited = Migration { sql: "CREATE TABLE notes (other TEXT) STRICT", ..NOTES };

    let problem = problem(&bench, &[edited]);
    assert!(matches!(problem, Problem::Edited { .. }));
    assert!(problem.to_string().starts_with("migration 0001_notes was edited"), "{problem}");
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let bench = migrated().await;

    let problem = problem(&bench, &[]);
    assert!(matches!(problem, Problem::Unknown { .. }));
    assert!(problem.to_string().contains("start the newer version"), "{problem}");
}

#[tokio::test]
async fn a_failed_migration_leaves_nothing_behind() {
    let bench = migrated().await;
    let broken = Migration { name: "0002_broken", sql: "CREATE TABLE tags (name); SELECT 1 +" };

    assert!(matches!(problem(&bench, &[NOTES, broken]), Problem::Failed { .. }));
    Sqlite::open(&bench.path(), &[NOTES, TAGS], &Options::default()).unwrap();
}

#[tokio::test]
async fn two_migrations_of_one_name_are_refused() {
    let bench = migrated().await;
    assert!(matches!(problem(&bench, &[NOTES, NOTES]), Problem::Duplicate { .. }));
}

#[tokio::test]
async fn a_reader_does_not_migrate() {
    let bench = migrated().await;
    let options = Options { read_only: true, ..Options::default() };

    let error = Sqlite::open(&bench.path(), &[NOTES, TAGS], &options).unwrap_err();
    let Error::Open { source, .. } = error else { panic!("{error:?}") };
    assert!(matches!(*source, Error::Migration(Problem::Pending { .. })), "{source:?}");
}
