//! What happens when the primary is gone.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use trellis_storage::{Error, Freshness, Tx};

use super::Cluster;
use crate::postgres::{insert, note, notes};

/// Within which writes go on.
const RECOVERY: Duration = Duration::from_secs(5);
/// How long a test waits for what has no limit of its own.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn writes_go_on_when_a_replica_was_promoted_and_the_old_primary_is_never_written_to_again() {
    let Some(cluster) = Cluster::start().await else { return };
    let database = &cluster.database;
    note(database, "before").await.unwrap();
    cluster.replica.catch_up(&cluster.primary).await;

    cluster.primary.kill();
    assert_eq!(cluster.count(Freshness::Any).await.unwrap(), 1, "a replica goes on");
    cluster.replica.promote().await;
    let began = Instant::now();
    note(database, "after").await.unwrap_or_else(|error| panic!("{error:?}"));
    assert!(began.elapsed() < RECOVERY, "{:?}", began.elapsed());
    assert_eq!(cluster.value("trellis_storage_failovers_total", &[]), 1);

    // It takes itself for the primary still, and says so when it is asked.
    cluster.primary.resume().await;
    let old = cluster.primary.together(&[], &cluster.url);
    let old = crate::postgres::open(&old, &trellis_storage::Options::default()).await.unwrap();
    while !old.look_up(has_answered_the_watch).await.unwrap() {}
    for number in 0..20 {
        note(database, &format!("later {number}")).await.unwrap();
    }
    assert_eq!(notes(&old).await, ["before"]);
    assert_eq!(notes(database).await.len(), 22);
}

async fn has_answered_the_watch(mut tx: Tx) -> Result<bool, Error> {
    let asked = "SELECT EXISTS (SELECT FROM pg_stat_activity
                                 WHERE application_name = 'trellis watch' AND state = 'idle'
                                   AND query <> '')";
    Ok(sqlx::query_scalar(asked).fetch_one(&mut *tx).await?)
}

#[tokio::test]
async fn a_write_that_has_not_begun_waits_for_a_primary() {
    let Some(cluster) = Cluster::start().await else { return };
    cluster.primary.kill();

    let (write, ()) = tokio::join!(note(&cluster.database, "waits"), async {
        cluster.until("trellis_storage_primary_known", &[], 0).await;
        cluster.replica.promote().await;
    });

    write.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(notes(&cluster.database).await, ["waits"]);
}

#[tokio::test]
async fn a_primary_that_became_a_replica_is_noticed_and_comes_to_be_read_from() {
    let Some(cluster) = Cluster::start().await else { return };
    let database = &cluster.database;
    note(database, "before").await.unwrap();
    cluster.replica.catch_up(&cluster.primary).await;
    cluster.primary.kill();
    cluster.replica.promote().await;

    cluster.primary.resume_behind(&cluster.replica).await;
    note(database, "after").await.unwrap();

    cluster.primary.catch_up(&cluster.replica).await;
    // Until it is usable, the primary answers for it, or has enough of that.
    let comes_to_be_read_from = async {
        while !matches!(database.look_up_at(Freshness::Any, super::is_replica).await, Ok(true)) {}
    };
    timeout(PATIENCE, comes_to_be_read_from).await.unwrap();
}

#[tokio::test]
async fn while_there_are_replicas_alone_writes_fail_and_reads_go_on() {
    let Some(cluster) = Cluster::start().await else { return };
    cluster.primary.kill();
    cluster.primary.resume_behind(&cluster.replica).await;

    let refused = timeout(2 * RECOVERY, note(&cluster.database, "nowhere")).await.unwrap();

    let refused = refused.unwrap_err();
    assert!(matches!(refused, Error::Lost(_) | Error::ReadOnly(_)), "{refused:?}");
    assert_eq!(cluster.count(Freshness::Any).await.unwrap(), 0);
}

#[tokio::test]
async fn a_unit_whose_primary_died_under_it_is_not_told_as_a_success_nor_done_twice() {
    let Some(cluster) = Cluster::start().await else { return };
    let dies = async |tx: Tx| {
        insert(tx, "half").await?;
        cluster.primary.kill();
        Ok::<_, Error>(())
    };

    let lost = cluster.database.write(&dies).await.unwrap_err();
    cluster.replica.promote().await;

    assert!(matches!(lost, Error::Lost(_)), "{lost:?}");
    assert_eq!(notes(&cluster.database).await, [""; 0]);
}

#[tokio::test]
async fn a_unit_that_began_on_a_primary_over_which_another_was_promoted_is_no_success() {
    let Some(cluster) = Cluster::start().await else { return };
    let outlives = async |tx: Tx| {
        insert(tx, "on the old one").await?;
        cluster.replica.promote().await;
        cluster.until("trellis_storage_failovers_total", &[], 1).await;
        Ok::<_, Error>(())
    };

    let lost = cluster.database.write(&outlives).await.unwrap_err();

    assert!(matches!(lost, Error::Lost(_)), "{lost:?}");
    assert_eq!(notes(&cluster.database).await, [""; 0]);
}
