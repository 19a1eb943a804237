//! `trellis shard`, as an operator has it.

use std::process::Output;

use trellis_testkit::Database;

use crate::kit::trellis;

/// Runs it on a user service with this database.
fn shard(database: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = trellis(folder.path(), &["shard"]);
    command.args(arguments).env("TRELLIS_USER_DATABASE", database).output().unwrap()
}

/// What it prints when it succeeds.
fn said(database: &str, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = shard(database, arguments);
    assert!(status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// What it complains of.
fn refused(database: &str, arguments: &[&str]) -> String {
    let Output { status, stderr, .. } = shard(database, arguments);
    assert!(!status.success(), "{arguments:?}");
    String::from_utf8(stderr).unwrap()
}

#[test]
fn a_service_that_keeps_a_file_has_no_shards_and_is_told_how_to_get_some() {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite:{}", folder.path().join("user.db").display());

    let refused = refused(&file, &["status", "user"]);

    assert!(refused.contains("which has no shards: give it servers"), "{refused}");
    assert!(refused.contains("TRELLIS_USER_DATABASE"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_go_and_come_back_and_their_old_copies_can_be_deleted() {
    let Some(database) = Database::shards().await else { return };
    let url = database.url();
    assert!(said(url, &["status", "user"]).contains("has 2048 buckets: 0..2047"));

    let moved = said(url, &["move", "--bucket", "0..9", "--to", "1", "user"]);
    assert!(moved.contains("10 of 10 buckets moved to shard 1"), "{moved}");
    let again = said(url, &["move", "--bucket", "0..9", "--to", "1", "user"]);
    assert!(again.contains("0 of 10 buckets moved"), "{again}");
    let status = said(url, &["status", "user"]);
    assert!(status.contains("keeps a copy of 10 buckets: 0..9"), "{status}");

    let cleaned = said(url, &["clean", "--bucket", "0..4095", "user"]);
    assert!(cleaned.contains("the old copies of 10 buckets are gone"), "{cleaned}");
    assert!(!said(url, &["status", "user"]).contains("copy"));
    let aborted = said(url, &["abort", "--bucket", "0..4095", "user"]);
    assert!(aborted.contains("0 buckets stay where they are"), "{aborted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_moved_is_said() {
    let Some(database) = Database::shards().await else { return };

    let nowhere = refused(database.url(), &["move", "--bucket", "7", "--to", "2", "user"]);
    assert!(nowhere.contains("there is no shard 2"), "{nowhere}");
    let nothing = refused(database.url(), &["move", "--bucket", "9..7", "--to", "1", "user"]);
    assert!(nothing.contains("two numbers from 0 to 4095"), "{nothing}");
}
