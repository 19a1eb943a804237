//! Asks the servers of a cluster who they are and how far.

use std::{sync::Arc, time::Duration};

use sqlx::{ConnectOptions as _, PgConnection, postgres::PgConnectOptions};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use trellis_consistency::Position;

use super::{
    board::{Answer, Silence},
    cluster::Watched,
};
use crate::{Error, PostgresUrl};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_millis(200);
/// How long the making of a connection may take: it is several round trips, and a
/// password is hashed.
const CONNECT: Duration = Duration::from_secs(1);

/// One round trip. A replica's timeline is the highest that it is known to follow: what
/// it receives is told to members of `pg_read_all_stats` alone, and what is in its files
/// comes with its next checkpoint.
const QUESTION: &str = "
    SELECT pg_is_in_recovery(),
           CASE WHEN pg_is_in_recovery()
                THEN coalesce(pg_last_wal_replay_lsn() - '0/0', 0)
                ELSE pg_current_wal_flush_lsn() - '0/0'
           END::bigint,
           CASE WHEN pg_is_in_recovery()
                THEN greatest((SELECT received_tli FROM pg_stat_wal_receiver),
                              (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
                              (SELECT timeline_id FROM pg_control_checkpoint()))::bigint
                ELSE ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::bigint
           END";

/// Asks each server, in a task of its own: one that hangs holds up no other. They end
/// when the set is dropped.
pub(super) fn watch(url: &PostgresUrl, watched: &Arc<Watched>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for (server, target) in url.servers().into_iter().enumerate() {
        tasks.spawn(attend(Arc::clone(watched), server, target));
    }
    tasks
}

async fn attend(watched: Arc<Watched>, server: usize, target: PgConnectOptions) {
    let place = crate::url::place(&target);
    let target = target.application_name("trellis watch").statement_cache_capacity(1);
    let mut connection = None;
    loop {
        let asked = Instant::now();
        let answer = ask(&mut connection, &target).await;
        if answer.is_err() {
            connection = None;
        }
        watched.hear(server, &place, answer);
        loop {
            let due = asked + watched.pause(server);
            tokio::select! {
                () = sleep_until(due) => break,
                () = watched.hurried(server) => {}
            }
        }
    }
}

/// The answer of a server, over a connection that is made if there is none.
async fn ask(
    connection: &mut Option<PgConnection>,
    target: &PgConnectOptions,
) -> Result<Answer, Silence> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(in_time(CONNECT, target.connect()).await?),
    };
    question(connection).await
}

pub(super) async fn question(connection: &mut PgConnection) -> Result<Answer, Silence> {
    let row = sqlx::query_as::<_, (bool, i64, i64)>(QUESTION).fetch_one(connection);
    let (is_replica, lsn, timeline) = in_time(ANSWER, row).await?;
    let at = Position {
        timeline: u32::try_from(timeline).unwrap_or_default(),
        lsn: u64::try_from(lsn).unwrap_or_default(),
    };
    Ok(Answer { is_replica, at })
}

async fn in_time<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, Silence> {
    match timeout(limit, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => match Error::from(error) {
            Error::Lost(_) => Err(Silence::Gone),
            // One that has no connection left is there, too.
            _ => Err(Silence::Slow),
        },
        Err(_) => Err(Silence::Slow),
    }
}
