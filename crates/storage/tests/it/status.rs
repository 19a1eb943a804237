//! What callers are told.

use std::io;

use tonic::{Code, Status};
use trellis_storage::{Error, Faults, Migration, Options, Sqlite};

use super::{Bench, note};

#[test]
fn what_may_pass_is_unavailable_with_its_reason() {
    let cases = [
        (Error::ReadOnly(None), "STORAGE_READ_ONLY"),
        (Error::Overloaded, "STORAGE_OVERLOADED"),
        (Error::Closed, "STORAGE_UNAVAILABLE"),
        (Error::RolledBack, "STORAGE_UNAVAILABLE"),
        (failure(rusqlite::ffi::SQLITE_FULL), "STORAGE_FULL"),
        (failure(rusqlite::ffi::SQLITE_BUSY), "STORAGE_BUSY"),
        (failure(rusqlite::ffi::SQLITE_IOERR_FSYNC), "STORAGE_UNAVAILABLE"),
        (failure(rusqlite::ffi::SQLITE_READONLY), "STORAGE_READ_ONLY"),
        (io::Error::from(io::ErrorKind::PermissionDenied).into(), "STORAGE_READ_ONLY"),
        (io::Error::from(io::ErrorKind::StorageFull).into(), "STORAGE_FULL"),
    ];
    for (error, reason) in cases {
        let status = Status::from(error);
        assert_eq!(status.code(), Code::Unavailable, "{reason}");
        assert_eq!(trellis_api::error::reason(&status).as_deref(), Some(reason));
    }
}

#[tokio::test]
async fn what_would_fail_again_is_internal_and_says_nothing() {
    let bench = Bench::new(Faults::default());
    let sqlite = bench.open();
    let error = note(&sqlite, "refused").await.unwrap_err();
    let status = Status::from(error);
    assert_eq!(status.code(), Code::Internal);
    assert_eq!(status.message(), "internal error");
}

#[tokio::test]
async fn a_constraint_gives_its_name() {
    const SHAPES: Migration = Migration {
        name: "0001_shapes",
        sql: "
        CREATE TABLE shapes (
            id     INTEGER NOT NULL PRIMARY KEY,
            name   TEXT    NOT NULL UNIQUE,
            width  INTEGER NOT NULL,
            height INTEGER NOT NULL,
            parent INTEGER REFERENCES shapes (id),
            CONSTRAINT shapes_are_flat CHECK (height < width),
            UNIQUE (width, height)
        ) STRICT;
        CREATE UNIQUE INDEX shapes_by_parent ON shapes (parent * 10);
        CREATE TRIGGER shapes_stay BEFORE DELETE ON shapes
        BEGIN
            SELECT RAISE(ABORT, 'shapes_stay');
        END;
        INSERT INTO shapes VALUES (1, 'bar', 9, 1, NULL);
        ",
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shapes.db");
    let sqlite = Sqlite::open(&path, &[SHAPES], &Options::default()).unwrap();

    let cases = [
        ("INSERT INTO shapes VALUES (2, 'box', 1, 1, NULL)", Some("shapes_are_flat")),
        ("INSERT INTO shapes VALUES (1, 'box', 2, 1, NULL)", Some("shapes.id")),
        ("INSERT INTO shapes VALUES (2, 'bar', 2, 1, NULL)", Some("shapes.name")),
        (
            "INSERT INTO shapes VALUES (2, 'box', 2, 1, 1), (3, 'lid', 3, 1, 1)",
            Some("shapes_by_parent"),
        ),
        ("INSERT INTO shapes VALUES (2, 'box', 9, 1, NULL)", Some("shapes.width, shapes.height")),
        ("INSERT INTO shapes VALUES (2, NULL, 2, 1, NULL)", Some("shapes.name")),
        ("INSERT INTO shapes VALUES (2, 'box', 2, 1, 7)", None),
        ("DELETE FROM shapes", Some("shapes_stay")),
    ];
    for (sql, name) in cases {
        let error =
            sqlite.write(move |tx| Ok::<_, Error>(tx.execute_batch(sql)?)).await.unwrap_err();
        assert!(matches!(error, Error::Constraint { .. }), "{sql}: {error:?}");
        assert_eq!(error.constraint(), name, "{sql}");
    }
}

fn failure(code: i32) -> Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None).into()
}
