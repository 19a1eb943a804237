//! Units of work over sessions.

use rusqlite::{Connection, OptionalExtension as _, params};
use time::OffsetDateTime;
use trellis_api::id::UserId;
use trellis_storage::micros;

use super::users::key;
use super::{parsed, time};
use crate::domain::{Session, TokenHash};
use crate::error::Error;

pub(super) fn open(tx: &Connection, session: &Session) -> Result<(), Error> {
    let (bucket, user_id) = key(session.user_id);
    let opened = tx
        .prepare_cached(
            "
            INSERT INTO sessions
                   (token_hash, bucket, user_id, create_time, last_seen_time, expire_time)
            SELECT ?1, bucket, user_id, ?4, ?5, ?6
              FROM users
             WHERE bucket = ?2
               AND user_id = ?3
            ",
        )?
        .execute(params![
            session.token_hash.digest,
            bucket,
            user_id,
            micros(session.create_time),
            micros(session.last_seen_time),
            micros(session.expire_time),
        ])?;
    if opened == 0 { Err(Error::UserNotFound) } else { Ok(()) }
}

pub(super) fn get(tx: &Connection, token_hash: TokenHash) -> Result<Option<Session>, Error> {
    let session = tx
        .prepare_cached(
            "
            SELECT user_id, create_time, last_seen_time, expire_time
              FROM sessions
             WHERE token_hash = ?1
            ",
        )?
        .query_row([token_hash.digest], |row| {
            Ok(Session {
                token_hash,
                user_id: parsed(row, 0)?,
                create_time: time(row, 1)?,
                last_seen_time: time(row, 2)?,
                expire_time: time(row, 3)?,
            })
        })
        .optional()?;
    Ok(session)
}

pub(super) fn note_use(
    tx: &Connection,
    token_hash: TokenHash,
    now: OffsetDateTime,
) -> Result<(), Error> {
    // No row is no error: it was signed out, or a call that came later was noted first.
    tx.prepare_cached(
        "
        UPDATE sessions
           SET last_seen_time = ?2
         WHERE token_hash = ?1
           AND last_seen_time < ?2
        ",
    )?
    .execute(params![token_hash.digest, micros(now)])?;
    Ok(())
}

pub(super) fn end(tx: &Connection, token_hash: TokenHash) -> Result<(), Error> {
    tx.prepare_cached("DELETE FROM sessions WHERE token_hash = ?1")?
        .execute([token_hash.digest])?;
    Ok(())
}

pub(super) fn end_all(tx: &Connection, id: UserId) -> Result<(), Error> {
    tx.prepare_cached("DELETE FROM sessions WHERE bucket = ?1 AND user_id = ?2")?
        .execute(key(id))?;
    Ok(())
}

pub(super) fn purge(tx: &Connection, last_seen: OffsetDateTime, limit: u32) -> Result<u32, Error> {
    let purged = tx
        .prepare_cached(
            "
            DELETE FROM sessions
             WHERE token_hash IN (
                   SELECT token_hash
                     FROM sessions
                    WHERE last_seen_time <= ?1
                    ORDER BY last_seen_time
                    LIMIT ?2)
            ",
        )?
        .execute(params![micros(last_seen), limit])?;
    Ok(u32::try_from(purged).unwrap_or(limit))
}
