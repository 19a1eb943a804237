//! Who has which buckets.

use trellis_storage::ShardsProblem;

use super::*;

#[tokio::test]
async fn new_shards_share_the_buckets_and_a_later_one_begins_without() {
    let Some(mut world) = World::of(3).await else { return };
    assert_eq!(world.buckets(0, State::Owned).await.len(), 1365);
    assert_eq!(world.buckets(1, State::Owned).await.first(), Some(&1365));
    assert_eq!(world.buckets(2, State::Owned).await.last(), Some(&(BUCKETS - 1)));

    world.databases.push(Database::postgres().await.unwrap());
    world.shards = world.handle().await;

    assert!(world.buckets(3, State::Owned).await.is_empty());
    let census = shards::mover::census(&world.shards).await.unwrap();
    assert_eq!(census.orphans(), 0);
}

#[tokio::test]
async fn many_processes_that_begin_at_once_share_the_buckets_once() {
    let mut databases = Vec::new();
    for _ in 0..2 {
        let Some(database) = Database::postgres().await else { return };
        databases.push(database);
    }
    let listed: Vec<_> = databases.iter().collect();

    let opened = futures::future::join_all((0..8).map(|_| open(&listed))).await;

    let shards = opened.into_iter().map(Result::unwrap).next().unwrap();
    let world = World { databases, shards };
    assert_eq!(world.buckets(0, State::Owned).await.len(), 2048);
    assert_eq!(world.buckets(1, State::Owned).await.len(), 2048);
}

#[tokio::test]
async fn who_begins_where_another_died_gives_every_bucket_an_owner() {
    let Some(world) = World::of(2).await else { return };
    // The second has its place, and the first was not reached.
    world.databases[0].tamper("DELETE FROM shard; DELETE FROM shard_buckets").await;

    let again = world.handle().await;

    assert_eq!(shards::mover::census(&again).await.unwrap().orphans(), 0);
    assert_eq!(world.buckets(1, State::Owned).await.len(), 2048);
}

#[tokio::test]
async fn databases_in_another_order_or_too_few_are_refused() {
    let Some(world) = World::of(2).await else { return };
    let [first, second] = [&world.databases[0], &world.databases[1]];

    let error = open(&[second, first]).await.unwrap_err();
    assert!(matches!(error, Error::Shards(ShardsProblem::Place { found: 1, listed: 0, .. })));

    world.mover().settling(Duration::ZERO).run(&range(0..1), 1, &Unwatched).await.unwrap();
    let error = open(&[first]).await.unwrap_err();
    assert!(matches!(error, Error::Shards(ShardsProblem::Missing { missing: 1 })), "{error:?}");
}

#[tokio::test]
async fn a_new_database_in_the_place_of_an_old_one_takes_no_bucket_from_the_others() {
    let Some(world) = World::of(2).await else { return };
    let [first, second] = [&world.databases[0], &world.databases[1]];
    let new = Database::postgres().await.unwrap();

    let error = open(&[&new, first]).await.unwrap_err();
    assert!(matches!(error, Error::Shards(ShardsProblem::Place { found: 0, listed: 1, .. })));
    assert_eq!(world.buckets(0, State::Owned).await.len(), 2048);

    world.mover().settling(Duration::ZERO).run(&range(0..1), 1, &Unwatched).await.unwrap();
    let error = open(&[&new, second]).await.unwrap_err();
    assert!(matches!(error, Error::Shards(ShardsProblem::Replaced { .. })), "{error:?}");
    assert_eq!(world.buckets(1, State::Owned).await.len(), 2049);
}

#[tokio::test]
async fn what_belongs_to_a_bucket_is_written_where_the_bucket_is_and_nowhere_else() {
    let Some(world) = World::of(2).await else { return };
    for number in [0, 2047, 2048, BUCKETS - 1] {
        assert_eq!(write(&world.shards, bucket(number), "ada").await.unwrap(), 1);
        assert_eq!(read(&world.shards, bucket(number), "ada").await.unwrap(), (1, 1));
    }

    for shard in 0..2 {
        assert_eq!(world.count(shard, "SELECT count(*) FROM accounts").await, 2);
    }
    let refused = world.databases[0].query("SELECT shard_enter(2048::smallint)").await;
    assert!(refused.unwrap_err().contains("bucket 2048 is not here"));
}

#[tokio::test]
async fn a_bucket_that_was_given_away_and_has_not_arrived_is_taken_in_by_who_needs_it() {
    let Some(world) = World::of(2).await else { return };
    let given = "UPDATE shard_buckets SET state = 'given', peer = 1, epoch = 2 WHERE bucket = 7;
                 UPDATE shard SET revision = revision + 1";
    world.databases[0].tamper(given).await;
    let arriving = "INSERT INTO shard_buckets (bucket, state, epoch, peer)
                    VALUES (7, 'arriving', 0, 0);
                    UPDATE shard SET revision = revision + 1";
    world.databases[1].tamper(arriving).await;

    assert_eq!(write(&world.shards, bucket(7), "ada").await.unwrap(), 1);

    assert_eq!(world.count(1, "SELECT count(*) FROM accounts").await, 1);
    assert!(world.buckets(1, State::Arriving).await.is_empty());
}

#[tokio::test]
async fn a_freeze_whose_mover_vanished_ends_by_itself() {
    let Some(world) = World::of(2).await else { return };
    let frozen = "UPDATE shard_buckets
                     SET state = 'frozen', peer = 1,
                         frozen_until = clock_timestamp() + interval '300 milliseconds'
                   WHERE bucket = 7";
    world.databases[0].tamper(frozen).await;

    // It waits, and is not refused.
    assert_eq!(write(&world.shards, bucket(7), "ada").await.unwrap(), 1);
    assert_eq!(read(&world.shards, bucket(7), "ada").await.unwrap(), (1, 1));
}
