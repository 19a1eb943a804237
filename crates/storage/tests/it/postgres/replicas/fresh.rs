//! What reads see.

use trellis_consistency::{Tokens, context};
use trellis_storage::{Error, Freshness, Tx};
use trellis_telemetry::Metrics;

use super::{Cluster, call, count, is_replica};
use crate::postgres::{note, notes};

/// How many writers there are, and how often each writes and reads.
const WRITERS: usize = 8;

/// Has callers write and read what they wrote, `rounds` times each; answers how often
/// one did not see its own.
async fn stale_reads(cluster: &Cluster, rounds: usize) -> usize {
    let writers = (0..WRITERS).map(async |writer| {
        let mut tokens = Tokens::default();
        let mut stale = 0;
        for round in 0..rounds {
            let text = format!("{writer}-{round}");
            call(&mut tokens, Box::pin(note(&cluster.database, &text))).await.unwrap();
            // A call of its own, as the next page of a customer is.
            let read = cluster.database.look_up_at(Freshness::Session, |tx| find(tx, &text));
            let found = call(&mut tokens, Box::pin(read)).await.unwrap();
            stale += usize::from(found != 1);
        }
        stale
    });
    futures::future::join_all(writers).await.into_iter().sum()
}

async fn find(mut tx: Tx, text: &str) -> Result<i64, Error> {
    let query = sqlx::query_scalar("SELECT count(*) FROM notes WHERE text = $1");
    Ok(query.bind(text).fetch_one(&mut *tx).await?)
}

#[tokio::test]
async fn callers_read_what_they_wrote_from_a_replica_too() {
    let Some(cluster) = Cluster::start().await else { return };

    assert_eq!(stale_reads(&cluster, 50).await, 0);

    assert!(cluster.reads("replica") > 0, "{}", cluster.metrics.text());
    assert!(cluster.reads("replica") + cluster.reads("primary") >= 400);
}

#[tokio::test]
async fn what_a_replica_does_not_have_yet_is_read_from_the_primary_and_all_else_from_it() {
    let Some(cluster) = Cluster::start().await else { return };
    let database = &cluster.database;
    let mut tokens = Tokens::default();
    cluster.replica.pause_replay().await;

    assert_eq!(stale_reads(&cluster, 4).await, 0);
    assert_eq!(cluster.reads("replica"), 0);
    call(&mut tokens, Box::pin(note(database, "mine"))).await.unwrap();

    let mut another = Tokens::default();
    let of_another = call(&mut another, Box::pin(cluster.count(Freshness::Session)));
    assert_eq!(of_another.await.unwrap(), 0, "a replica that is a little late will do");
    assert_eq!(cluster.count(Freshness::Any).await.unwrap(), 0);
    let mine = call(&mut tokens, Box::pin(database.read_at(Freshness::Session, count)));
    assert_eq!(mine.await.unwrap(), 33);
    assert_eq!(cluster.count(Freshness::Session).await.unwrap(), 33, "this process wrote it");
    assert_eq!(cluster.count(Freshness::Primary).await.unwrap(), 33);
    let strictly = context::strictly(Box::pin(cluster.count(Freshness::Any)));
    assert_eq!(strictly.await.unwrap(), 33, "it decides a write");

    cluster.replica.resume_replay().await;
    cluster.replica.catch_up(&cluster.primary).await;
    while !call(&mut tokens, Box::pin(database.look_up_at(Freshness::Session, is_replica)))
        .await
        .unwrap()
    {}
}

#[tokio::test]
async fn a_call_must_see_what_its_own_process_wrote_for_it_elsewhere() {
    let Some(cluster) = Cluster::start().await else { return };
    let database = &cluster.database;
    cluster.replica.pause_replay().await;
    let mut tokens = Tokens::default();

    // A handler waits for work that a task does, and looks at what came of it.
    let handler = async {
        tokio::join!(async { note(database, "by a task").await.unwrap() });
        database.look_up(count).await
    };
    assert_eq!(call(&mut tokens, Box::pin(handler)).await.unwrap(), 1);

    assert!(!tokens.is_empty());
    let next = call(&mut tokens, Box::pin(cluster.count(Freshness::Session)));
    assert_eq!(next.await.unwrap(), 1);
}

#[tokio::test]
async fn a_replica_far_behind_is_not_read_from_until_it_has_caught_up() {
    let Some(cluster) = Cluster::start().await else { return };
    cluster.replica.pause_replay().await;
    let fill = async |mut tx: Tx| {
        let much =
            "INSERT INTO notes (text) SELECT repeat(i::text, 100) FROM generate_series(1, 20000) i";
        sqlx::query(much).execute(&mut *tx).await?;
        Ok::<_, Error>(())
    };

    cluster.database.write(&fill).await.unwrap();
    cluster.until("trellis_storage_replica_ejections_total", &["reason=\"lag\""], 1).await;

    assert!(cluster.value("trellis_storage_replica_lag_bytes", &[]) > 1_048_576);
    assert!(cluster.value("trellis_storage_replica_delay_seconds", &[]) >= 2);
    assert_eq!(cluster.count(Freshness::Any).await.unwrap(), 20_000, "the primary is asked");
    cluster.replica.resume_replay().await;
    cluster.until("trellis_storage_replica_usable", &[], 1).await;
    assert!(cluster.database.look_up_at(Freshness::Any, is_replica).await.unwrap());
}

#[tokio::test]
async fn while_no_replica_is_there_the_primary_takes_a_part_of_their_reads_and_refuses_the_rest() {
    let Some(cluster) = Cluster::start().await else { return };
    cluster.replica.kill();
    let database = &cluster.database;
    let mut answered = 0;
    while cluster.value("trellis_storage_replica_ejections_total", &[]) < 1 {
        assert_eq!(cluster.count(Freshness::Any).await.unwrap(), 0, "a lost read is asked again");
        answered += 1;
    }
    assert!(answered > 0);

    let slow = async |mut tx: Tx| {
        sqlx::query("SELECT pg_sleep(1)").execute(&mut *tx).await?;
        Ok::<_, Error>(())
    };
    let reads = (0..6).map(|_| database.look_up_at(Freshness::Any, &slow));
    let (ends, write) = tokio::join!(futures::future::join_all(reads), note(database, "meanwhile"));

    write.unwrap();
    let refused = ends.iter().filter(|end| matches!(end, Err(Error::Overloaded))).count();
    assert_eq!((ends.iter().filter(|end| end.is_ok()).count(), refused), (2, 4), "{ends:?}");
    assert_eq!(cluster.value("trellis_storage_fallback_refusals_total", &[]), 4);

    cluster.replica.resume().await;
    cluster.until("trellis_storage_replica_usable", &[], 1).await;
    assert!(database.look_up_at(Freshness::Any, is_replica).await.unwrap());
}

#[tokio::test]
async fn a_read_that_what_a_replica_replays_is_in_the_way_of_is_asked_of_the_primary() {
    let Some(cluster) = Cluster::start().await else { return };
    let eager = "ALTER SYSTEM SET max_standby_streaming_delay = 0";
    let replica = cluster.replica.together(&[], &cluster.url);
    trellis_testkit::postgres::execute(&replica, eager).await;
    trellis_testkit::postgres::execute(&replica, "SELECT pg_reload_conf()").await;
    note(&cluster.database, "kept").await.unwrap();
    cluster.replica.catch_up(&cluster.primary).await;
    let read = async |mut tx: Tx| {
        let is_replica: bool =
            sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(&mut *tx).await?;
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM notes").fetch_one(&mut *tx).await?;
        if is_replica {
            // What this snapshot still needs is cleaned away on the primary.
            let primary = cluster.primary.together(&[], &cluster.url);
            trellis_testkit::postgres::execute(&primary, "TRUNCATE notes").await;
            cluster.replica.catch_up(&cluster.primary).await;
        }
        let again: i64 =
            sqlx::query_scalar("SELECT count(*) FROM notes").fetch_one(&mut *tx).await?;
        Ok::<_, Error>((is_replica, count, again))
    };

    let seen = cluster.database.read_at(Freshness::Any, &read).await.unwrap();

    assert_eq!(seen, (false, 0, 0));
    assert_eq!(notes(&cluster.database).await, [""; 0]);
}

#[tokio::test]
async fn a_database_on_one_server_has_no_tokens() {
    let Some((database, _server)) = crate::postgres::notes_database().await else { return };
    let mut tokens = Tokens::default();
    let metrics = Metrics::default();

    call(&mut tokens, Box::pin(note(&database, "mine"))).await.unwrap();
    let seen = call(&mut tokens, Box::pin(database.look_up_at(Freshness::Session, count)));

    assert_eq!(seen.await.unwrap(), 1);
    assert!(tokens.is_empty());
    assert!(!metrics.text().contains("trellis_storage_reads"));
}
