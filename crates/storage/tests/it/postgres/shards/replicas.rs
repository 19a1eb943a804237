//! Shards that have replicas.

use trellis_storage::Freshness;
use trellis_testkit::Postgres as Server;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_came_with_a_bucket_is_not_read_from_a_replica_that_lacks_it() {
    let Some(source) = Database::postgres().await else { return };
    let Some(primary) = Server::start().await else { return };
    let replica = primary.replica().await;
    let Ok(Url::Postgres(target)) =
        primary.together(&[&replica], &primary.database().await).parse()
    else {
        panic!("it is a server")
    };
    replica.catch_up(&primary).await;
    let migrations = [shards::MIGRATION, BOOKS];
    let shards = Shards::open(&[url(&source), target], &migrations, &Options::default()).await;
    let (shards, bucket) = (shards.unwrap(), bucket(7));
    write(&shards, bucket, "ada").await.unwrap();
    replica.catch_up(&primary).await;
    let look = async || {
        let query = |tx| counts(tx, bucket, "ada");
        Box::pin(shards.look_up_at(bucket, Freshness::Any, query)).await.unwrap()
    };
    assert_eq!(look().await, (1, 1));

    replica.pause_replay().await;
    Mover::new(&shards, TABLES).run(&[bucket], 1, &Unwatched).await.unwrap();

    assert_eq!(look().await, (1, 1), "the replica has no such account");
    replica.resume_replay().await;
    replica.catch_up(&primary).await;
    assert_eq!(look().await, (1, 1));
}
