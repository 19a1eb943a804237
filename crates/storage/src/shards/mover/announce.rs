//! The beginning of a move.

use sqlx::{AssertSqlSafe, PgConnection};
use trellis_api::id::Bucket;

use super::{CHUNK, Tables, Way, insist, key};
use crate::{
    Error, Tx,
    shards::map::{numbers, revise},
};

impl Way<'_> {
    /// From now on both sides know of the move, and the old owner writes down what changes.
    pub(super) async fn announce(&self, buckets: &[Bucket]) -> Result<(), Error> {
        for shard in [self.to, self.from] {
            insist(async || shard.write(|tx| watch(tx, self.tables)).await).await?;
        }
        let (from, to) = (number(self.from_number), number(self.to_number));
        for chunk in buckets.chunks(CHUNK) {
            self.to.write(|tx| expect(tx, chunk, from)).await?;
            insist(async || self.from.write(|tx| begin(tx, chunk, to)).await).await?;
        }
        Ok(())
    }
}

/// Puts triggers on the tables, unless they are there.
async fn watch(mut tx: Tx, tables: Tables) -> Result<(), Error> {
    for relation in tables {
        let is_watched: bool = sqlx::query_scalar(
            "
            SELECT EXISTS (
                SELECT FROM pg_trigger WHERE tgrelid = $1::regclass AND tgname = 'shard_capture'
            )
            ",
        )
        .bind(relation)
        .fetch_one(&mut *tx)
        .await?;
        if is_watched {
            continue;
        }
        let key = key(&mut tx, relation).await?;
        let key: Vec<_> = key.iter().map(|column| format!("'{column}'")).collect();
        let trigger = format!(
            "
            CREATE TRIGGER shard_capture
            AFTER INSERT OR UPDATE OR DELETE ON {relation}
            FOR EACH ROW
            WHEN (current_setting('trellis.mover', true) IS DISTINCT FROM 'on')
            EXECUTE FUNCTION shard_capture({})
            ",
            key.join(", ")
        );
        sqlx::raw_sql(AssertSqlSafe(trigger)).execute(&mut *tx).await?;
    }
    Ok(())
}

/// A third shard's old copy is told of no changes from now on.
pub(super) async fn outdate(mut tx: Tx, buckets: &[Bucket]) -> Result<(), Error> {
    sqlx::query("UPDATE shard_buckets SET has_copy = false WHERE bucket = ANY ($1)")
        .bind(numbers(buckets))
        .execute(&mut *tx)
        .await?;
    Ok(())
}

/// At the new owner. What changes there once it owns them is written down as well.
async fn expect(mut tx: Tx, buckets: &[Bucket], from: i16) -> Result<(), Error> {
    capture(&mut tx, buckets).await?;
    sqlx::query(
        "
        INSERT INTO shard_buckets (bucket, state, epoch, peer)
        SELECT bucket, 'arriving', 0, $2
          FROM unnest($1::smallint[]) AS bucket
        ON CONFLICT (bucket) DO UPDATE
           SET state = 'arriving',
               peer = $2
         WHERE shard_buckets.state IN ('given', 'arriving')
        ",
    )
    .bind(numbers(buckets))
    .bind(from)
    .execute(&mut *tx)
    .await?;
    revise(&mut tx).await
}

/// At the old owner, while no writer is at work: one that began before would not have its
/// changes written down.
async fn begin(mut tx: Tx, buckets: &[Bucket], to: i16) -> Result<(), Error> {
    exclude(&mut tx, buckets).await?;
    capture(&mut tx, buckets).await?;
    sqlx::query(
        "
        UPDATE shard_buckets
           SET state = 'moving',
               peer = $2
         WHERE bucket = ANY ($1)
           AND state = 'owned'
        ",
    )
    .bind(numbers(buckets))
    .bind(to)
    .execute(&mut *tx)
    .await?;
    revise(&mut tx).await
}

async fn capture(tx: &mut PgConnection, buckets: &[Bucket]) -> Result<(), Error> {
    sqlx::query("INSERT INTO shard_captured SELECT unnest($1::smallint[]) ON CONFLICT DO NOTHING")
        .bind(numbers(buckets))
        .execute(tx)
        .await?;
    Ok(())
}

/// Keeps writers out until the transaction ends, and waits for those inside.
pub(super) async fn exclude(tx: &mut PgConnection, buckets: &[Bucket]) -> Result<(), Error> {
    sqlx::query("SELECT shard_exclude($1)").bind(numbers(buckets)).execute(tx).await?;
    Ok(())
}

pub(super) fn number(shard: usize) -> i16 {
    i16::try_from(shard).unwrap_or(i16::MAX)
}
