//! Which database is which shard, written down in each.
//!
//! A list of databases in another order would send users to where they are not, so each
//! database knows its place, and a process with another list does not start.

use sqlx::Connection as _;
use trellis_api::id::BUCKETS;

use super::map::{revise, shard_number};
use crate::{Error, Postgres, PostgresUrl, Tx, postgres::ask};

/// Held on the first database while places are given: the letters of "shards".
const LOCK: i64 = 0x73_68_61_72_64_73;

/// Why databases are not the shards that a list says they are.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ShardsProblem {
    #[error(
        "{url} is shard {found}, and stands in the list of databases where shard {listed} should: bring the list into the order in which it was used before"
    )]
    Place { url: PostgresUrl, found: i16, listed: usize },
    #[error(
        "{url} is empty, and databases behind it in the list have buckets that have moved: list the database that was there before, or restore its backup"
    )]
    Replaced { url: PostgresUrl },
    #[error("{url} is no shard yet: start the service once, or run trellis migrate")]
    Unplaced { url: PostgresUrl },
    #[error(
        "buckets have moved to shard {missing}, which the list of databases does not have: add it again at its end"
    )]
    Missing { missing: i16 },
    #[error(
        "the {service} service keeps its records in one database: give it one, and not several with spaces in between"
    )]
    One { service: &'static str },
    #[error("there may be at most {BUCKETS} databases")]
    TooMany,
}

/// Gives each database without a place the one it has in the list.
pub(super) async fn settle(shards: &[Postgres]) -> Result<(), Error> {
    if usize::from(BUCKETS) < shards.len() {
        return Err(ShardsProblem::TooMany.into());
    }
    // Nearly always all have been here before.
    match verify(shards).await {
        Err(Error::Shards(ShardsProblem::Unplaced { .. })) => {}
        verified => return verified,
    }
    let mut lock = shards[0].apart().await?;
    let held = ask(&mut lock, &format!("SELECT pg_advisory_lock({LOCK})"), PATIENCE).await;
    let placed = match held {
        Ok(()) => place_all(shards).await,
        Err(error) => Err(error),
    };
    // With the connection goes the lock.
    drop(lock);
    placed?;
    verify(shards).await
}

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// The first is the last to get its place: as long as it has none nobody owns anything for
/// sure, and all begin again.
async fn place_all(shards: &[Postgres]) -> Result<(), Error> {
    let is_new = number(&shards[0]).await?.is_none();
    for (listed, shard) in shards.iter().enumerate() {
        check_place(shard, listed).await?;
        // What is dealt out again was dealt out by one that died over it, and never used.
        if is_new && shard.look_up(has_moved).await? {
            return Err(ShardsProblem::Replaced { url: shards[0].url().clone() }.into());
        }
    }
    let all = usize::from(BUCKETS);
    for (place, shard) in shards.iter().enumerate().rev() {
        let share = if is_new {
            all * place / shards.len()..all * (place + 1) / shards.len()
        } else {
            0..0
        };
        let bound = |bucket: usize| i16::try_from(bucket).unwrap_or(i16::MAX);
        let (first, end) = (bound(share.start), bound(share.end));
        // As with migrations, this is no unit of work, which a test may let fail.
        let mut connection = shard.apart().await?;
        let mut transaction = connection.begin().await.map_err(Error::from)?;
        self::place(&mut transaction, bound(place), first, end, is_new).await?;
        transaction.commit().await.map_err(Error::from)?;
    }
    Ok(())
}

async fn place(
    tx: &mut sqlx::PgConnection,
    place: i16,
    first: i16,
    end: i16,
    is_new: bool,
) -> Result<(), Error> {
    if is_new {
        sqlx::query("DELETE FROM shard_buckets").execute(&mut *tx).await?;
    }
    sqlx::query("INSERT INTO shard (number) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(place)
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "
        INSERT INTO shard_buckets (bucket, state, epoch)
        SELECT bucket, 'owned', 1
          FROM generate_series($1::smallint, $2::smallint - 1) AS bucket
        ",
    )
    .bind(first)
    .bind(end)
    .execute(&mut *tx)
    .await?;
    revise(tx).await
}

/// Fails unless each has its place, and nothing is with one that is not listed.
pub(super) async fn verify(shards: &[Postgres]) -> Result<(), Error> {
    for (listed, shard) in shards.iter().enumerate() {
        if !check_place(shard, listed).await? {
            return Err(ShardsProblem::Unplaced { url: shard.url().clone() }.into());
        }
        let peer: Option<i16> = shard.look_up(last_peer).await?;
        if let Some(missing) = peer.filter(|peer| shards.len() <= shard_number(*peer)) {
            return Err(ShardsProblem::Missing { missing }.into());
        }
    }
    Ok(())
}

/// Whether it has a place; fails if that is another than the `listed` one.
async fn check_place(shard: &Postgres, listed: usize) -> Result<bool, Error> {
    match number(shard).await? {
        Some(found) if shard_number(found) != listed => {
            Err(ShardsProblem::Place { url: shard.url().clone(), found, listed }.into())
        }
        found => Ok(found.is_some()),
    }
}

async fn has_moved(mut tx: Tx) -> Result<bool, Error> {
    let has_moved = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM shard_buckets WHERE state <> 'owned' OR 1 < epoch)",
    );
    Ok(has_moved.fetch_one(&mut *tx).await?)
}

async fn number(shard: &Postgres) -> Result<Option<i16>, Error> {
    let query = async |mut tx: Tx| {
        let number = sqlx::query_scalar("SELECT number FROM shard").fetch_optional(&mut *tx).await;
        Ok::<_, Error>(number?)
    };
    shard.look_up(query).await
}

async fn last_peer(mut tx: Tx) -> Result<Option<i16>, Error> {
    let peer = sqlx::query_scalar("SELECT max(peer) FROM shard_buckets").fetch_one(&mut *tx).await;
    Ok(peer?)
}
