//! Units of work over sessions.

use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use trellis_api::id::UserId;
use trellis_storage::Tx;
use uuid::Uuid;

use super::bucket;
use crate::domain::{Session, TokenHash};
use crate::error::Error;

#[derive(FromRow)]
struct Row {
    user_id: Uuid,
    create_time: OffsetDateTime,
    last_seen_time: OffsetDateTime,
    expire_time: OffsetDateTime,
}

/// The account stays locked against its erasure until the transaction ends.
pub(super) async fn open(tx: &mut PgConnection, session: &Session) -> Result<(), Error> {
    let opened = sqlx::query(
        "
        INSERT INTO sessions
               (token_hash, bucket, user_id, create_time, last_seen_time, expire_time)
        SELECT $1, bucket, user_id, $4, $5, $6
          FROM users
         WHERE bucket = $2
           AND user_id = $3
           FOR KEY SHARE
        ",
    )
    .bind(&session.token_hash.digest[..])
    .bind(bucket(session.user_id))
    .bind(session.user_id.uuid())
    .bind(session.create_time)
    .bind(session.last_seen_time)
    .bind(session.expire_time)
    .execute(tx)
    .await?;
    if opened.rows_affected() == 0 { Err(Error::UserNotFound) } else { Ok(()) }
}

pub(super) async fn get(mut tx: Tx, token_hash: TokenHash) -> Result<Option<Session>, Error> {
    let row: Option<Row> = sqlx::query_as(
        "
        SELECT user_id, create_time, last_seen_time, expire_time
          FROM sessions
         WHERE bucket = $2
           AND token_hash = $1
        ",
    )
    .bind(&token_hash.digest[..])
    .bind(token_hash.bucket.get().cast_signed())
    .fetch_optional(&mut *tx)
    .await?;
    Ok(row.map(|row| Session {
        token_hash,
        user_id: UserId::from_uuid(row.user_id),
        create_time: row.create_time,
        last_seen_time: row.last_seen_time,
        expire_time: row.expire_time,
    }))
}

pub(super) async fn note_use(
    mut tx: Tx,
    token_hash: TokenHash,
    now: OffsetDateTime,
) -> Result<(), Error> {
    // No row is no error: it was signed out, or a call that came later was noted first.
    sqlx::query(
        "
        UPDATE sessions
           SET last_seen_time = $2
         WHERE bucket = $3
           AND token_hash = $1
           AND last_seen_time < $2
        ",
    )
    .bind(&token_hash.digest[..])
    .bind(now)
    .bind(token_hash.bucket.get().cast_signed())
    .execute(&mut *tx)
    .await?;
    Ok(())
}

pub(super) async fn end(mut tx: Tx, token_hash: TokenHash) -> Result<(), Error> {
    sqlx::query("DELETE FROM sessions WHERE bucket = $1 AND token_hash = $2")
        .bind(token_hash.bucket.get().cast_signed())
        .bind(&token_hash.digest[..])
        .execute(&mut *tx)
        .await?;
    Ok(())
}

pub(super) async fn end_all(tx: &mut PgConnection, id: UserId) -> Result<(), Error> {
    sqlx::query("DELETE FROM sessions WHERE bucket = $1 AND user_id = $2")
        .bind(bucket(id))
        .bind(id.uuid())
        .execute(tx)
        .await?;
    Ok(())
}

pub(super) async fn purge(mut tx: Tx, last_seen: OffsetDateTime, limit: u32) -> Result<u32, Error> {
    let purged = sqlx::query(
        "
        DELETE FROM sessions
         WHERE (bucket, token_hash) IN (
               SELECT bucket, token_hash
                 FROM sessions
                WHERE last_seen_time <= $1
                  AND shard_has(bucket)
                ORDER BY last_seen_time
                LIMIT $2
                  FOR UPDATE SKIP LOCKED)
        ",
    )
    .bind(last_seen)
    .bind(i64::from(limit))
    .execute(&mut *tx)
    .await?;
    Ok(u32::try_from(purged.rows_affected()).unwrap_or(limit))
}
