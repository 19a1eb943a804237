//! The copy of a bucket.

use sqlx::{AssertSqlSafe, PgConnection};
use trellis_api::id::Bucket;

use super::{Tables, Way, changes::run, unseen};
use crate::{Error, Tx};

impl Way<'_> {
    /// Makes the new owner's rows those that the old one has at a moment, and says how many
    /// there are. Nothing is copied that is there already, from a move before.
    pub(super) async fn copy(&self, bucket: Bucket) -> Result<u64, Error> {
        let has_copy = self.to.look_up(|tx| has_copy(tx, bucket)).await?;
        // Only a copy that was whole at a time can take changes.
        if has_copy && self.level(bucket).await?.is_none() {
            return Ok(0);
        }
        let tables = self.from.read(|tx| look(tx, self.tables, bucket)).await?;
        self.to.write(|tx| write(tx, self.tables, bucket, &tables)).await
    }
}

async fn has_copy(mut tx: Tx, bucket: Bucket) -> Result<bool, Error> {
    let has_copy = sqlx::query_scalar("SELECT has_copy FROM shard_buckets WHERE bucket = $1")
        .bind(bucket.get().cast_signed())
        .fetch_optional(&mut *tx)
        .await?;
    Ok(has_copy.unwrap_or(false))
}

/// The rows of each table, as JSON.
async fn look(mut tx: Tx, tables: Tables, bucket: Bucket) -> Result<Vec<String>, Error> {
    let mut found = Vec::with_capacity(tables.len());
    for relation in tables {
        let query = format!(
            "SELECT coalesce(json_agg(found), '[]')::text FROM {relation} AS found WHERE bucket = $1"
        );
        let rows = sqlx::query_scalar(AssertSqlSafe(query))
            .bind(bucket.get().cast_signed())
            .fetch_one(&mut *tx)
            .await?;
        found.push(rows);
    }
    Ok(found)
}

async fn write(mut tx: Tx, tables: Tables, bucket: Bucket, rows: &[String]) -> Result<u64, Error> {
    unseen(&mut tx).await?;
    delete(&mut tx, tables, bucket).await?;
    let mut count = 0;
    for (relation, rows) in tables.iter().zip(rows) {
        let insert = format!(
            "INSERT INTO {relation} SELECT * FROM json_populate_recordset(NULL::{relation}, $1::json)"
        );
        run(&mut tx, insert, &[rows]).await?;
        let counted = format!("SELECT count(*) FROM {relation} WHERE bucket = $1");
        let counted: i64 = sqlx::query_scalar(AssertSqlSafe(counted))
            .bind(bucket.get().cast_signed())
            .fetch_one(&mut *tx)
            .await?;
        count += counted.unsigned_abs();
    }
    sqlx::query("UPDATE shard_buckets SET has_copy = true WHERE bucket = $1")
        .bind(bucket.get().cast_signed())
        .execute(&mut *tx)
        .await?;
    Ok(count)
}

/// Deletes all rows of a bucket.
pub(super) async fn delete(
    tx: &mut PgConnection,
    tables: Tables,
    bucket: Bucket,
) -> Result<(), Error> {
    for relation in tables.iter().rev() {
        sqlx::query(AssertSqlSafe(format!("DELETE FROM {relation} WHERE bucket = $1")))
            .bind(bucket.get().cast_signed())
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}
