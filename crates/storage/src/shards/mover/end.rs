//! What is left to do after a move, or instead of the rest of it.

use trellis_api::id::Bucket;

use super::{CHUNK, MoveError, Mover, Tables, announce::exclude, census, copy, hold, insist};
use crate::{
    Error, Tx,
    shards::map::{numbers, revise},
};

impl Mover<'_> {
    /// Deletes the old copies of `buckets`, and stops to write down what changes; says how
    /// many copies there were. After it, a move back has to copy everything.
    pub async fn clean(&self, buckets: &[Bucket]) -> Result<usize, MoveError> {
        let census = census(self.shards).await?;
        let mut copies = 0;
        for (number, shard) in self.shards.each().iter().enumerate() {
            let _held = hold(shard, number).await?;
            let which = |is_meant: &dyn Fn(Bucket) -> bool| -> Vec<Bucket> {
                buckets.iter().copied().filter(|bucket| is_meant(*bucket)).collect()
            };
            let old = which(&|bucket| census.copies(bucket).any(|copy| copy == number));
            copies += old.len();
            for chunk in old.chunks(CHUNK) {
                shard.write(|tx| drop_copy(tx, self.tables, chunk, "given")).await?;
            }
            let here = which(&|bucket| census.owner(bucket) == Some(number));
            for chunk in here.chunks(CHUNK) {
                shard.write(|tx| relax(tx, chunk)).await?;
            }
            insist(async || shard.write(|tx| unwatch(tx, self.tables)).await).await?;
        }
        Ok(copies)
    }

    /// Leaves `buckets` that are on their way where they are, and says how many there were.
    pub async fn abort(&self, buckets: &[Bucket]) -> Result<usize, MoveError> {
        let census = census(self.shards).await?;
        let shards = self.shards.each();
        let mut aborted = 0;
        for bucket in buckets {
            let (Some(owner), Some(goal)) = (census.owner(*bucket), census.goal(*bucket)) else {
                continue;
            };
            let (from, to) = (&shards[owner], &shards[goal]);
            let _held = (hold(from, owner).await?, hold(to, goal).await?);
            let bucket = std::slice::from_ref(bucket);
            insist(async || from.write(|tx| stay(tx, bucket)).await).await?;
            to.write(|tx| drop_copy(tx, self.tables, bucket, "arriving")).await?;
            aborted += 1;
        }
        Ok(aborted)
    }
}

async fn drop_copy(
    mut tx: Tx,
    tables: Tables,
    buckets: &[Bucket],
    state: &str,
) -> Result<(), Error> {
    let dropped: Vec<i16> = sqlx::query_scalar(
        "DELETE FROM shard_buckets WHERE bucket = ANY ($1) AND state = $2 RETURNING bucket",
    )
    .bind(numbers(buckets))
    .bind(state)
    .fetch_all(&mut *tx)
    .await?;
    super::unseen(&mut tx).await?;
    for bucket in dropped.iter().filter_map(|number| Bucket::new(number.cast_unsigned())) {
        copy::delete(&mut tx, tables, bucket).await?;
    }
    forget(&mut tx, buckets).await?;
    revise(&mut tx).await
}

async fn stay(mut tx: Tx, buckets: &[Bucket]) -> Result<(), Error> {
    exclude(&mut tx, buckets).await?;
    sqlx::query(
        "
        UPDATE shard_buckets
           SET state = 'owned',
               peer = NULL,
               frozen_until = NULL
         WHERE bucket = ANY ($1)
           AND state IN ('moving', 'frozen')
        ",
    )
    .bind(numbers(buckets))
    .execute(&mut *tx)
    .await?;
    forget(&mut tx, buckets).await?;
    revise(&mut tx).await
}

/// Of buckets that are at home, without a copy anywhere.
async fn relax(mut tx: Tx, buckets: &[Bucket]) -> Result<(), Error> {
    let home: Vec<i16> = sqlx::query_scalar(
        "SELECT bucket FROM shard_buckets WHERE bucket = ANY ($1) AND state = 'owned'",
    )
    .bind(numbers(buckets))
    .fetch_all(&mut *tx)
    .await?;
    let home: Vec<_> =
        home.iter().filter_map(|number| Bucket::new(number.cast_unsigned())).collect();
    forget(&mut tx, &home).await
}

async fn forget(tx: &mut sqlx::PgConnection, buckets: &[Bucket]) -> Result<(), Error> {
    for sql in [
        "DELETE FROM shard_captured WHERE bucket = ANY ($1)",
        "DELETE FROM shard_changes WHERE bucket = ANY ($1)",
    ] {
        sqlx::query(sql).bind(numbers(buckets)).execute(&mut *tx).await?;
    }
    Ok(())
}

/// Takes the triggers away when no change has to be written down any more.
async fn unwatch(mut tx: Tx, tables: Tables) -> Result<(), Error> {
    let is_needed: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM shard_captured)")
        .fetch_one(&mut *tx)
        .await?;
    if !is_needed {
        for relation in tables {
            let drop = format!("DROP TRIGGER IF EXISTS shard_capture ON {relation}");
            sqlx::raw_sql(sqlx::AssertSqlSafe(drop)).execute(&mut *tx).await?;
        }
    }
    Ok(())
}
