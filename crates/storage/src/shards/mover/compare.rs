//! Whether a copy is what it is a copy of.

use sqlx::{AssertSqlSafe, PgConnection};
use trellis_api::id::Bucket;

use super::{MoveError, Tables, Way, changes::Changes};
use crate::{Error, Tx};

/// How many rows there are, and a checksum over them.
type Sum = (i64, i64);

impl Way<'_> {
    /// Fails with [`MoveError::Differs`] if a copy is not what it should be.
    pub(super) async fn compare(&self, buckets: &[Bucket]) -> Result<(), MoveError> {
        for &bucket in buckets {
            if let Some(relation) = self.level(bucket).await? {
                return Err(MoveError::Differs { bucket, relation });
            }
        }
        Ok(())
    }

    /// Carries to the copy of a bucket what has changed, and says in which table it differs
    /// all the same.
    ///
    /// The changes and the checksums of the old owner are those of one moment, and nobody
    /// else writes to the copy. So this has an end however fast the bucket changes.
    pub(super) async fn level(&self, bucket: Bucket) -> Result<Option<&'static str>, Error> {
        let (changes, here) = self.from.read(|tx| self.look_and_sum(tx, bucket)).await?;
        self.carry_over(&changes).await?;
        let there =
            self.to.read(|mut tx| async move { sums(&mut tx, self.tables, bucket).await }).await?;
        let mut pairs = self.tables.iter().zip(here.iter().zip(&there));
        Ok(pairs.find(|(_, (here, there))| here != there).map(|(relation, _)| *relation))
    }

    async fn look_and_sum(&self, mut tx: Tx, bucket: Bucket) -> Result<(Changes, Vec<Sum>), Error> {
        let changes = self.look(&mut tx, &[bucket]).await?;
        Ok((changes, sums(&mut tx, self.tables, bucket).await?))
    }
}

async fn sums(tx: &mut PgConnection, tables: Tables, bucket: Bucket) -> Result<Vec<Sum>, Error> {
    let mut sums = Vec::with_capacity(tables.len());
    for relation in tables {
        let query = format!(
            "
            SELECT count(*), coalesce(bit_xor(('x' || md5(found::text))::bit(64)::bigint), 0)
              FROM {relation} AS found
             WHERE bucket = $1
            "
        );
        let sum = sqlx::query_as(AssertSqlSafe(query))
            .bind(bucket.get().cast_signed())
            .fetch_one(&mut *tx)
            .await?;
        sums.push(sum);
    }
    Ok(sums)
}
