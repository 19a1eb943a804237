//! Buckets that move while they are used.

use std::{
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
};

use futures::FutureExt as _;
use trellis_storage::shards::mover::MoveError;

use super::{clerks::Clerks, *};

#[tokio::test(flavor = "multi_thread")]
async fn a_range_moves_while_it_is_used_and_nobody_notices() {
    let Some(world) = World::of(2).await else { return };
    let buckets = range(2000..2080);
    let handles = vec![world.handle().await, world.handle().await, world.shards.clone()];
    let clerks = Clerks::start(handles, &buckets, true);

    let moved = world.mover().run(&range(2000..2048), 1, &Unwatched).await.unwrap();
    assert_eq!(moved.buckets, 48);
    assert_eq!(world.buckets(0, State::Owned).await.len(), 2000);
    let moved = world.mover().run(&buckets, 0, &Unwatched).await.unwrap();
    assert_eq!(moved.buckets, 80);

    let entries = clerks.finish(&world.shards).await;
    let here = world.count(0, "SELECT count(*) FROM entries").await;
    assert_eq!(here, entries, "all of it is on the first shard again");
    assert_eq!(world.buckets(0, State::Owned).await.len(), 2048 + 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mover_that_is_killed_anywhere_is_followed_by_one_that_loses_nothing() {
    let Some(world) = World::of(2).await else { return };
    let buckets = range(2040..2048);
    // Only what reads goes by what it heard before, and so needs the mover to wait.
    let handles = vec![world.handle().await, world.handle().await];
    let clerks = Clerks::start(handles, &buckets, false);

    let mut killed = 0;
    for (round, to) in [1, 0].into_iter().cycle().enumerate().take(4) {
        let mut steps = 3 + 5 * round as u64;
        loop {
            let mover = world.mover().settling(Duration::ZERO);
            let polls = AtomicU64::new(0);
            let mut run = pin!(mover.run(&buckets, to, &Unwatched));
            let outcome = std::future::poll_fn(|context| {
                // Each poll is an answer that came.
                match polls.fetch_add(1, Ordering::Relaxed) {
                    polls if polls == steps => std::task::Poll::Ready(None),
                    _ => run.poll_unpin(context).map(Some),
                }
            });
            match outcome.await {
                Some(Ok(_)) => break,
                // The one before may still be on its way out.
                Some(Err(MoveError::Occupied(_))) => {}
                Some(Err(error)) => panic!("{error:?}"),
                None => {
                    killed += 1;
                    steps += 23 + steps / 3;
                }
            }
        }
    }

    assert!(20 <= killed, "{killed}");
    clerks.finish(&world.shards).await;
    let census = shards::mover::census(&world.shards).await.unwrap();
    assert_eq!(census.orphans(), 0);
    assert_eq!(world.buckets(0, State::Owned).await.len(), 2048);
}

#[tokio::test]
async fn the_way_back_is_as_short_as_what_has_changed() {
    let Some(world) = World::of(2).await else { return };
    let buckets = range(0..4);
    for bucket in &buckets {
        write(&world.shards, *bucket, "ada").await.unwrap();
    }
    let mover = world.mover().settling(Duration::ZERO);
    let there = mover.run(&buckets, 1, &Unwatched).await.unwrap();
    assert_eq!((there.buckets, there.rows), (4, 8));
    write(&world.shards, buckets[1], "ada").await.unwrap();
    write(&world.shards, buckets[2], "eve").await.unwrap();

    let back = mover.run(&buckets, 0, &Unwatched).await.unwrap();

    assert_eq!((back.buckets, back.rows), (4, 0));
    assert_eq!(read(&world.shards, buckets[1], "ada").await.unwrap(), (2, 2));
    assert_eq!(read(&world.shards, buckets[2], "eve").await.unwrap(), (1, 1));
}

#[tokio::test]
async fn a_copy_that_a_third_shard_keeps_is_not_taken_for_what_is_true() {
    let Some(world) = World::of(3).await else { return };
    let home = bucket(0);
    write(&world.shards, home, "ada").await.unwrap();
    let mover = world.mover().settling(Duration::ZERO);
    for to in [1, 2, 0] {
        mover.run(&[home], to, &Unwatched).await.unwrap();
        only_enter(&world.shards, home, "ada").await;
    }

    assert_eq!(read(&world.shards, home, "ada").await.unwrap(), (1, 4));
    assert_eq!(world.count(0, "SELECT count(*) FROM entries").await, 4);
}

#[tokio::test]
async fn what_refers_to_a_row_that_does_not_change_moves_with_it() {
    let Some(world) = World::of(2).await else { return };
    let home = bucket(0);
    write(&world.shards, home, "ada").await.unwrap();
    let mover = world.mover().settling(Duration::from_secs(1));
    let mut run = Box::pin(mover.run(std::slice::from_ref(&home), 1, &Unwatched));
    while world.buckets(0, State::Moving).await.is_empty() {
        let _ = tokio::time::timeout(Duration::from_millis(20), &mut run).await;
    }

    // It is written down before its account is copied.
    only_enter(&world.shards, home, "ada").await;

    assert_eq!(run.await.unwrap().buckets, 1);
    assert_eq!(read(&world.shards, home, "ada").await.unwrap(), (1, 2));
}

/// Adds an entry without touching its account.
async fn only_enter(shards: &Shards, bucket: Bucket, name: &str) {
    let unit = async |mut tx: Tx| {
        let insert = "
            INSERT INTO entries (bucket, name, number)
            SELECT $1, $2, 1 + max(number) FROM entries WHERE bucket = $1 AND name = $2
        ";
        let insert = sqlx::query(insert).bind(bucket.get().cast_signed()).bind(name);
        Ok::<_, Error>(insert.execute(&mut *tx).await?)
    };
    shards.write(bucket, &unit).await.unwrap();
}

#[tokio::test]
async fn what_was_deleted_during_a_move_is_not_there_after_it() {
    let Some(world) = World::of(2).await else { return };
    let home = bucket(0);
    write(&world.shards, home, "ada").await.unwrap();
    let mover = world.mover().settling(Duration::ZERO);
    mover.run(&[home], 1, &Unwatched).await.unwrap();
    let erase = async |mut tx: Tx| {
        for sql in ["DELETE FROM entries WHERE bucket = 0", "DELETE FROM accounts WHERE bucket = 0"]
        {
            sqlx::query(sql).execute(&mut *tx).await?;
        }
        Ok::<_, Error>(())
    };
    world.shards.write(home, &erase).await.unwrap();

    mover.run(&[home], 0, &Unwatched).await.unwrap();

    assert_eq!(read(&world.shards, home, "ada").await.unwrap(), (0, 0));
    assert_eq!(world.count(0, "SELECT count(*) FROM accounts").await, 0);
}

#[tokio::test]
async fn cleaning_deletes_old_copies_and_stops_the_writing_down() {
    let Some(world) = World::of(2).await else { return };
    let buckets = range(0..2);
    write(&world.shards, buckets[0], "ada").await.unwrap();
    let mover = world.mover().settling(Duration::ZERO);
    mover.run(&buckets, 1, &Unwatched).await.unwrap();
    assert_eq!(world.count(0, "SELECT count(*) FROM accounts").await, 1);

    assert_eq!(mover.clean(&buckets).await.unwrap(), 2);

    assert_eq!(world.count(0, "SELECT count(*) FROM accounts").await, 0);
    write(&world.shards, buckets[0], "ada").await.unwrap();
    assert_eq!(world.count(1, "SELECT count(*) FROM shard_changes").await, 0);
    assert_eq!(world.count(1, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal").await, 0);
    assert_eq!(read(&world.shards, buckets[0], "ada").await.unwrap(), (2, 2));
}

#[tokio::test]
async fn an_aborted_move_leaves_everything_where_it_was() {
    let Some(world) = World::of(2).await else { return };
    let buckets = range(0..2);
    write(&world.shards, buckets[0], "ada").await.unwrap();
    let mover = world.mover();
    // It waits for readers, and is stopped there.
    let mut run = Box::pin(mover.run(&buckets, 1, &Unwatched));
    while world.buckets(0, State::Moving).await.len() < 2 {
        let _ = tokio::time::timeout(Duration::from_millis(20), &mut run).await;
    }
    drop(run);

    let mut aborted = mover.abort(&buckets).await;
    while matches!(aborted, Err(MoveError::Occupied(_))) {
        aborted = mover.abort(&buckets).await;
    }

    assert_eq!(aborted.unwrap(), 2);
    assert_eq!(world.buckets(0, State::Owned).await.len(), 2048);
    assert!(world.buckets(1, State::Arriving).await.is_empty());
    write(&world.shards, buckets[0], "ada").await.unwrap();
    assert_eq!(world.count(0, "SELECT count(*) FROM shard_changes").await, 0);
}

#[tokio::test]
async fn two_movers_do_not_work_on_one_shard() {
    let Some(world) = World::of(2).await else { return };
    let mover = world.mover();
    let buckets = range(0..1);
    let mut first = Box::pin(mover.run(&buckets, 1, &Unwatched));
    while world.buckets(0, State::Moving).await.is_empty() {
        let _ = tokio::time::timeout(Duration::from_millis(20), &mut first).await;
    }

    let second = mover.run(&range(1..2), 1, &Unwatched).await;
    assert!(matches!(second, Err(MoveError::Occupied(1))), "{second:?}");

    let none = mover.run(&range(1..2), 2, &Unwatched).await;
    assert!(matches!(none, Err(MoveError::NoShard(2))), "{none:?}");
}
