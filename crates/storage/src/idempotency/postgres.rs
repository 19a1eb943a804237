//! The records in Postgres.

use sqlx::PgConnection;
use time::OffsetDateTime;
use trellis_api::id::Bucket;
use uuid::Uuid;

use super::{Answer, Claim, Fingerprint, PURGE_LIMIT};
use crate::{Error, Migration};

/// The table this module works on; put it among a service's own migrations.
pub const MIGRATION: Migration =
    Migration { name: "idempotency_0001", sql: include_str!("postgres.sql") };

/// Names a request.
#[derive(Clone, Copy, Debug)]
pub struct Key<'k> {
    /// That of the user whose request it is; 0 where requests are nobody's.
    pub bucket: Bucket,
    /// Names the caller and the method.
    pub scope: &'k str,
    /// What the caller named it.
    pub key: Uuid,
}

type Row = (Vec<u8>, String, Option<i32>, Option<Vec<u8>>);

/// As [`super::claim`]. Waits for another transaction that claims the same key.
pub async fn claim(
    tx: &mut PgConnection,
    key: Key<'_>,
    fingerprint: &Fingerprint,
    subject: &str,
    now: OffsetDateTime,
) -> Result<Claim, Error> {
    let inserted = sqlx::query(
        "
        INSERT INTO idempotency (bucket, scope, key, fingerprint, subject, create_time)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (bucket, scope, key) DO NOTHING
        ",
    )
    .bind(key.bucket.get().cast_signed())
    .bind(key.scope)
    .bind(key.key)
    .bind(&fingerprint.0[..])
    .bind(subject)
    .bind(now)
    .execute(&mut *tx)
    .await?
    .rows_affected();
    if inserted == 1 {
        return Ok(Claim::New);
    }
    // What stood in the way of the insert may have been purged since.
    find(tx, key, fingerprint).await?.ok_or(Error::RolledBack)
}

/// As [`super::find`].
pub async fn find(
    tx: &mut PgConnection,
    key: Key<'_>,
    fingerprint: &Fingerprint,
) -> Result<Option<Claim>, Error> {
    let row: Option<Row> = sqlx::query_as(
        "
        SELECT fingerprint, subject, code, body
          FROM idempotency
         WHERE bucket = $1
           AND scope = $2
           AND key = $3
        ",
    )
    .bind(key.bucket.get().cast_signed())
    .bind(key.scope)
    .bind(key.key)
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|(recorded, subject, code, body)| match (code, body) {
        _ if recorded != fingerprint.0 => Claim::Mismatch,
        (Some(code), Some(body)) => Claim::Finished(Answer { code, body }),
        _ => Claim::InFlight { subject },
    }))
}

/// As [`super::finish`].
pub async fn finish(tx: &mut PgConnection, key: Key<'_>, answer: &Answer) -> Result<(), Error> {
    sqlx::query(
        "
        UPDATE idempotency
           SET code = $4, body = $5
         WHERE bucket = $1
           AND scope = $2
           AND key = $3
           AND code IS NULL
        ",
    )
    .bind(key.bucket.get().cast_signed())
    .bind(key.scope)
    .bind(key.key)
    .bind(answer.code)
    .bind(&answer.body)
    .execute(tx)
    .await?;
    Ok(())
}

/// As [`super::purge`], for a unit of [`crate::Shards::sweep`].
pub async fn sweep(tx: &mut PgConnection, before: OffsetDateTime) -> Result<u64, Error> {
    let removed = sqlx::query(
        "
        DELETE FROM idempotency
         WHERE (bucket, scope, key) IN (
               SELECT bucket, scope, key
                 FROM idempotency
                WHERE create_time < $1
                  AND shard_has(bucket)
                ORDER BY create_time
                LIMIT $2
                  FOR UPDATE SKIP LOCKED
               )
        ",
    )
    .bind(before)
    .bind(PURGE_LIMIT.cast_signed())
    .execute(tx)
    .await?;
    Ok(removed.rows_affected())
}

/// As [`super::purge`].
pub async fn purge(tx: &mut PgConnection, before: OffsetDateTime) -> Result<u64, Error> {
    let removed = sqlx::query(
        "
        DELETE FROM idempotency
         WHERE (bucket, scope, key) IN (
               SELECT bucket, scope, key
                 FROM idempotency
                WHERE create_time < $1
                ORDER BY create_time
                LIMIT $2
                  FOR UPDATE SKIP LOCKED
               )
        ",
    )
    .bind(before)
    .bind(PURGE_LIMIT.cast_signed())
    .execute(tx)
    .await?;
    Ok(removed.rows_affected())
}
