//! The end of a unit of work that writes.

use std::time::Duration;

use futures::TryStreamExt as _;
use sqlx::{Either, PgConnection, Row as _};
use tokio::time::timeout;
use trellis_consistency::Position;

use super::session::{SLACK, Tx, ask};
use crate::{Error, Faults};

/// A COMMIT of a transaction in which a statement has failed undoes it, and reports no
/// error. The query before it does.
const COMMIT: &str = "SELECT 1; COMMIT";

/// Comes after a commit, in the same round trip: the timeline, and how far the log
/// is on the disk. What is written, but not flushed, can be a little more than any
/// replica gets until somebody else writes.
const POSITION: &str =
    "SELECT left(pg_walfile_name(lsn), 8), lsn::text FROM pg_current_wal_flush_lsn() AS lsn";
/// How many statements are done when the unit is committed.
const COMMITTED: usize = 2;

/// Commits, and answers where in the log that is, if it `has_replicas`.
pub(super) async fn commit(
    connection: &mut PgConnection,
    faults: &Faults,
    limit: Duration,
    has_replicas: bool,
) -> Result<Option<Position>, Error> {
    let mut position = None;
    let commit = async |connection: &mut PgConnection, position: &mut Option<Position>| {
        if has_replicas {
            *position = Some(commit_at(connection, limit).await?);
            return Ok(());
        }
        ask(connection, COMMIT, limit).await
    };
    if !faults.are_planned() || !has_written(connection).await? {
        commit(connection, &mut position).await?;
    } else {
        faults.commit_with(commit(connection, &mut position)).await?;
    }
    Ok(position)
}

async fn commit_at(connection: &mut PgConnection, limit: Duration) -> Result<Position, Error> {
    let statements = format!("{COMMIT}; {POSITION}");
    let mut done = 0;
    let mut position = None;
    let answered = timeout(limit + SLACK, async {
        let mut answers = sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).fetch_many(connection);
        while let Some(answer) = answers.try_next().await? {
            match answer {
                Either::Left(_) => done += 1,
                Either::Right(row) if COMMITTED <= done => {
                    position = parse(row.try_get(0)?, row.try_get(1)?);
                }
                Either::Right(_) => {}
            }
        }
        Ok::<_, sqlx::Error>(())
    });
    let answered = answered.await.map_err(|_| Error::Lost(None))?.map_err(Error::from);
    match (answered, position) {
        (Ok(()), Some(position)) => Ok(position),
        (Err(error), _) if done < COMMITTED => Err(error),
        // It is committed, but nobody could be told where.
        _ => Err(Error::Lost(None)),
    }
}

/// How far the log of a primary is on the disk.
pub(super) async fn position(mut tx: Tx) -> Result<Position, Error> {
    let (timeline, lsn): (String, String) = sqlx::query_as(POSITION).fetch_one(&mut *tx).await?;
    parse(&timeline, &lsn).ok_or(Error::Lost(None))
}

/// A timeline in hexadecimal, and a place as `high/low`.
fn parse(timeline: &str, lsn: &str) -> Option<Position> {
    let (high, low) = lsn.split_once('/')?;
    let [high, low] = [high, low].map(|half| u32::from_str_radix(half, 16).ok());
    Some(Position {
        timeline: u32::from_str_radix(timeline, 16).ok()?,
        lsn: u64::from(high?) << 32 | u64::from(low?),
    })
}

async fn has_written(connection: &mut PgConnection) -> Result<bool, Error> {
    let id = "SELECT pg_current_xact_id_if_assigned() IS NOT NULL";
    Ok(sqlx::query_scalar(id).fetch_one(connection).await?)
}
