//! The moment in which buckets change their owner.

use std::time::Duration;

use tokio::time::Instant;
use trellis_api::id::Bucket;

use super::{ATTEMPTS, MoveError, Way, announce::exclude, insist};
use crate::{
    Error, Tx,
    shards::map::{arrive, numbers, revise},
};

impl Way<'_> {
    /// Gives the buckets away, and says how long their writers had to wait.
    pub(super) async fn switch(&self, buckets: &[Bucket]) -> Result<Duration, MoveError> {
        for _ in 0..ATTEMPTS {
            self.catch_up(buckets).await?;
            let began = Instant::now();
            insist(async || self.from.write(|tx| freeze(tx, buckets)).await).await?;
            // Nobody adds to the list any more. What is in it is worked off, however often
            // the mover was interrupted in that.
            while 0 < self.apply(buckets).await? {}
            if let Some(epoch) =
                insist(async || self.from.write(|tx| give(tx, buckets)).await).await?
            {
                self.to
                    .write(|mut tx| async move { arrive(&mut tx, buckets, epoch).await })
                    .await?;
                return Ok(began.elapsed());
            }
        }
        Err(MoveError::NoMoment(buckets[0], buckets[buckets.len() - 1]))
    }
}

/// Writers wait from here on, for half a second at the most. A mover that needs longer
/// has to begin the step again.
async fn freeze(mut tx: Tx, buckets: &[Bucket]) -> Result<(), Error> {
    exclude(&mut tx, buckets).await?;
    sqlx::query(
        "
        UPDATE shard_buckets
           SET state = 'frozen',
               frozen_until = clock_timestamp() + interval '500 milliseconds'
         WHERE bucket = ANY ($1)
           AND state IN ('moving', 'frozen')
        ",
    )
    .bind(numbers(buckets))
    .execute(&mut *tx)
    .await?;
    revise(&mut tx).await
}

/// Gives all away, with the number of the new owner, or none: the freeze is over, and who
/// knows what was written since.
async fn give(mut tx: Tx, buckets: &[Bucket]) -> Result<Option<i64>, Error> {
    exclude(&mut tx, buckets).await?;
    let (frozen, epoch): (i64, Option<i64>) = sqlx::query_as(
        "
        SELECT count(*), max(epoch)
          FROM shard_buckets
         WHERE bucket = ANY ($1)
           AND state = 'frozen'
           AND clock_timestamp() < frozen_until
           AND NOT EXISTS (SELECT FROM shard_changes WHERE bucket = ANY ($1))
        ",
    )
    .bind(numbers(buckets))
    .fetch_one(&mut *tx)
    .await?;
    if usize::try_from(frozen) != Ok(buckets.len()) {
        sqlx::query(
            "
            UPDATE shard_buckets
               SET state = 'moving',
                   frozen_until = NULL
             WHERE bucket = ANY ($1)
               AND state = 'frozen'
            ",
        )
        .bind(numbers(buckets))
        .execute(&mut *tx)
        .await?;
        return Ok(None);
    }
    let epoch = epoch.unwrap_or_default() + 1;
    sqlx::query(
        "
        UPDATE shard_buckets
           SET state = 'given',
               has_copy = true,
               epoch = $2,
               frozen_until = NULL
         WHERE bucket = ANY ($1)
        ",
    )
    .bind(numbers(buckets))
    .bind(epoch)
    .execute(&mut *tx)
    .await?;
    sqlx::query("DELETE FROM shard_captured WHERE bucket = ANY ($1)")
        .bind(numbers(buckets))
        .execute(&mut *tx)
        .await?;
    revise(&mut tx).await?;
    Ok(Some(epoch))
}
