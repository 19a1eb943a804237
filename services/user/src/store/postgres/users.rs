//! Units of work over accounts.

use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use trellis_api::event::v1::UserDeleted;
use trellis_api::id::UserId;
use trellis_events::outbox::postgres as outbox;
use trellis_storage::Tx;
use uuid::Uuid;

use super::{bucket, sessions};
use crate::domain::{Credentials, DisplayName, Email, PasswordHash, Session, User};
use crate::error::Error;

#[derive(FromRow)]
struct Row {
    user_id: Uuid,
    email: String,
    display_name: String,
    create_time: OffsetDateTime,
    update_time: OffsetDateTime,
}

#[derive(FromRow)]
struct WithHash {
    #[sqlx(flatten)]
    user: Row,
    password_hash: String,
}

pub(super) async fn create(
    mut tx: Tx,
    user: &User,
    password_hash: &PasswordHash,
    session: &Session,
) -> Result<(), Error> {
    sqlx::query(
        "
        INSERT INTO users
               (bucket, user_id, email, display_name, password_hash, create_time, update_time)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ",
    )
    .bind(bucket(user.id))
    .bind(user.id.uuid())
    .bind(user.email.as_str())
    .bind(user.display_name.as_str())
    .bind(password_hash.as_str())
    .bind(user.create_time)
    .bind(user.update_time)
    .execute(&mut *tx)
    .await?;
    sessions::open(&mut tx, session).await
}

pub(super) async fn credentials(mut tx: Tx, id: UserId) -> Result<Option<Credentials>, Error> {
    let row: Option<WithHash> = sqlx::query_as(
        "
        SELECT user_id, email, display_name, create_time, update_time, password_hash
          FROM users
         WHERE bucket = $1
           AND user_id = $2
        ",
    )
    .bind(bucket(id))
    .bind(id.uuid())
    .fetch_optional(&mut *tx)
    .await?;
    Ok(row.map(|row| Credentials {
        user: row.user.into(),
        password_hash: PasswordHash::stored(row.password_hash),
    }))
}

pub(super) async fn is_there(mut tx: Tx, id: UserId) -> Result<bool, Error> {
    let is_there =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM users WHERE bucket = $1 AND user_id = $2)")
            .bind(bucket(id))
            .bind(id.uuid())
            .fetch_one(&mut *tx)
            .await?;
    Ok(is_there)
}

pub(super) async fn get(mut tx: Tx, id: UserId) -> Result<User, Error> {
    let row: Option<Row> = sqlx::query_as(
        "
        SELECT user_id, email, display_name, create_time, update_time
          FROM users
         WHERE bucket = $1
           AND user_id = $2
        ",
    )
    .bind(bucket(id))
    .bind(id.uuid())
    .fetch_optional(&mut *tx)
    .await?;
    row.map(User::from).ok_or(Error::UserNotFound)
}

pub(super) async fn rename(
    mut tx: Tx,
    id: UserId,
    display_name: &DisplayName,
    now: OffsetDateTime,
) -> Result<User, Error> {
    let row: Option<Row> = sqlx::query_as(
        "
        UPDATE users
           SET display_name = $3,
               update_time = greatest($4, update_time + interval '1 microsecond')
         WHERE bucket = $1
           AND user_id = $2
        RETURNING user_id, email, display_name, create_time, update_time
        ",
    )
    .bind(bucket(id))
    .bind(id.uuid())
    .bind(display_name.as_str())
    .bind(now)
    .fetch_optional(&mut *tx)
    .await?;
    row.map(User::from).ok_or(Error::UserNotFound)
}

pub(super) async fn rehash(
    tx: &mut PgConnection,
    id: UserId,
    password_hash: &PasswordHash,
) -> Result<(), Error> {
    let updated = sqlx::query(
        "
        UPDATE users
           SET password_hash = $3
         WHERE bucket = $1
           AND user_id = $2
        ",
    )
    .bind(bucket(id))
    .bind(id.uuid())
    .bind(password_hash.as_str())
    .execute(tx)
    .await?;
    if updated.rows_affected() == 0 { Err(Error::UserNotFound) } else { Ok(()) }
}

/// Locks the account first, so that no session is opened meanwhile.
pub(super) async fn delete(mut tx: Tx, id: UserId, now: OffsetDateTime) -> Result<(), Error> {
    let locked = sqlx::query("SELECT FROM users WHERE bucket = $1 AND user_id = $2 FOR UPDATE")
        .bind(bucket(id))
        .bind(id.uuid())
        .fetch_optional(&mut *tx)
        .await?;
    if locked.is_none() {
        return Err(Error::UserNotFound);
    }
    remove(&mut tx, id).await?;
    let payload = UserDeleted { user_id: id.to_string() };
    let event = trellis_events::event(now, id.bucket(), "user.deleted", id.to_string(), &payload);
    outbox::append(&mut tx, &event).await?;
    Ok(())
}

/// Deletes an account that nobody has heard of yet.
pub(super) async fn withdraw(mut tx: Tx, id: UserId) -> Result<(), Error> {
    remove(&mut tx, id).await
}

async fn remove(tx: &mut PgConnection, id: UserId) -> Result<(), Error> {
    sessions::end_all(&mut *tx, id).await?;
    sqlx::query("DELETE FROM users WHERE bucket = $1 AND user_id = $2")
        .bind(bucket(id))
        .bind(id.uuid())
        .execute(tx)
        .await?;
    Ok(())
}

impl From<Row> for User {
    fn from(row: Row) -> Self {
        Self {
            id: UserId::from_uuid(row.user_id),
            email: Email::stored(row.email),
            display_name: DisplayName::stored(row.display_name),
            create_time: row.create_time,
            update_time: row.update_time,
        }
    }
}
