//! Units of work over accounts.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use time::OffsetDateTime;
use trellis_api::event::v1::UserDeleted;
use trellis_api::id::UserId;
use trellis_events::outbox;
use trellis_storage::{self as storage, micros};

use super::{parsed, sessions, time};
use crate::domain::{Credentials, DisplayName, Email, EmailKey, PasswordHash, Session, User};
use crate::error::Error;

pub(super) fn create(
    tx: &Connection,
    user: &User,
    password_hash: &PasswordHash,
    session: &Session,
) -> Result<(), Error> {
    // The directory's key decides between two sign-ups with one address.
    let entry = tx
        .prepare_cached(
            "
            INSERT INTO email_directory (email_hash, user_id, state)
            VALUES (?1, ?2, 'active')
            ",
        )
        .and_then(|mut sql| sql.execute(params![user.email.key().0, user.id.to_string()]))
        .map_err(storage::Error::from);
    if let Err(error) = entry {
        return Err(match error.constraint() {
            Some("email_directory.email_hash") => Error::EmailTaken,
            _ => error.into(),
        });
    }
    tx.prepare_cached(
        "
        INSERT INTO users
               (bucket, user_id, email, display_name, password_hash, create_time, update_time)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
        ",
    )?
    .execute(params![
        user.id.bucket().get(),
        user.id.to_string(),
        user.email.as_str(),
        user.display_name.as_str(),
        password_hash.as_str(),
        micros(user.create_time),
        micros(user.update_time),
    ])?;
    sessions::open(tx, session)
}

pub(super) fn credentials(tx: &Connection, email: EmailKey) -> Result<Option<Credentials>, Error> {
    let id: Option<UserId> = tx
        .prepare_cached(
            "
            SELECT user_id
              FROM email_directory
             WHERE email_hash = ?1
               AND state = 'active'
            ",
        )?
        .query_row([email.0], |row| parsed(row, 0))
        .optional()?;
    let Some(id) = id else { return Ok(None) };
    let credentials = tx
        .prepare_cached(
            "
            SELECT user_id, email, display_name, create_time, update_time, password_hash
              FROM users
             WHERE bucket = ?1
               AND user_id = ?2
            ",
        )?
        .query_row(key(id), |row| {
            let password_hash = PasswordHash::stored(row.get(5)?);
            Ok(Credentials { user: read(row)?, password_hash })
        })
        .optional()?;
    Ok(credentials)
}

pub(super) fn get(tx: &Connection, id: UserId) -> Result<User, Error> {
    tx.prepare_cached(
        "
        SELECT user_id, email, display_name, create_time, update_time
          FROM users
         WHERE bucket = ?1
           AND user_id = ?2
        ",
    )?
    .query_row(key(id), read)
    .optional()?
    .ok_or(Error::UserNotFound)
}

pub(super) fn rename(
    tx: &Connection,
    id: UserId,
    display_name: &DisplayName,
    now: OffsetDateTime,
) -> Result<User, Error> {
    let (bucket, user_id) = key(id);
    tx.prepare_cached(
        "
        UPDATE users
           SET display_name = ?3,
               update_time = max(?4, update_time + 1)
         WHERE bucket = ?1
           AND user_id = ?2
        RETURNING user_id, email, display_name, create_time, update_time
        ",
    )?
    .query_row(params![bucket, user_id, display_name.as_str(), micros(now)], read)
    .optional()?
    .ok_or(Error::UserNotFound)
}

pub(super) fn rehash(
    tx: &Connection,
    id: UserId,
    password_hash: &PasswordHash,
) -> Result<(), Error> {
    let (bucket, user_id) = key(id);
    let updated = tx
        .prepare_cached(
            "
            UPDATE users
               SET password_hash = ?3
             WHERE bucket = ?1
               AND user_id = ?2
            ",
        )?
        .execute(params![bucket, user_id, password_hash.as_str()])?;
    if updated == 0 { Err(Error::UserNotFound) } else { Ok(()) }
}

pub(super) fn delete(tx: &Connection, id: UserId, now: OffsetDateTime) -> Result<(), Error> {
    sessions::end_all(tx, id)?;
    let deleted = tx
        .prepare_cached("DELETE FROM users WHERE bucket = ?1 AND user_id = ?2")?
        .execute(key(id))?;
    if deleted == 0 {
        return Err(Error::UserNotFound);
    }
    tx.prepare_cached("DELETE FROM email_directory WHERE user_id = ?1")?
        .execute([id.to_string()])?;
    let payload = UserDeleted { user_id: id.to_string() };
    let event = trellis_events::event(now, id.bucket(), "user.deleted", id.to_string(), &payload);
    outbox::append(tx, &event)?;
    Ok(())
}

/// What an account is found by.
pub(super) fn key(id: UserId) -> (u16, String) {
    (id.bucket().get(), id.to_string())
}

/// From `user_id, email, display_name, create_time, update_time`.
fn read(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: parsed(row, 0)?,
        email: Email::stored(row.get(1)?),
        display_name: DisplayName::stored(row.get(2)?),
        create_time: time(row, 3)?,
        update_time: time(row, 4)?,
    })
}
