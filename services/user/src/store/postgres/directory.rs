//! Which account an address belongs to.
//!
//! Address and account may be in two databases, and no transaction is over both. So an
//! entry is pending until its account is there, and again before its account goes. A
//! pending entry whose account is not there lapses. Whether an address has an account is
//! never decided by the state of its entry, but by whether the account is there.

use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use trellis_api::id::UserId;
use trellis_storage::Tx;
use uuid::Uuid;

use crate::domain::EmailKey;
use crate::error::Error;

/// What an entry says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) email: EmailKey,
    pub(super) user_id: UserId,
    /// When a pending one lapses.
    pub(super) expire_time: Option<OffsetDateTime>,
}

#[derive(FromRow)]
struct Row {
    email_hash: Vec<u8>,
    user_id: Uuid,
    expire_time: Option<OffsetDateTime>,
}

/// Keeps an address for an account that is to come. `Some`: it has an entry, and nothing
/// was changed.
pub(super) async fn claim(
    mut tx: Tx,
    email: EmailKey,
    user_id: UserId,
    expire_time: OffsetDateTime,
) -> Result<Option<Entry>, Error> {
    let claimed = sqlx::query(
        "
        INSERT INTO email_directory (bucket, email_hash, user_id, state, expire_time)
        VALUES ($1, $2, $3, 'pending', $4)
        ON CONFLICT (bucket, email_hash) DO NOTHING
        ",
    )
    .bind(number(email))
    .bind(&email.0[..])
    .bind(user_id.uuid())
    .bind(expire_time)
    .execute(&mut *tx)
    .await?;
    if claimed.rows_affected() == 1 { Ok(None) } else { get(&mut tx, email).await }
}

pub(super) async fn find(mut tx: Tx, email: EmailKey) -> Result<Option<Entry>, Error> {
    get(&mut tx, email).await
}

async fn get(tx: &mut PgConnection, email: EmailKey) -> Result<Option<Entry>, Error> {
    let row: Option<Row> = sqlx::query_as(
        "
        SELECT email_hash, user_id, expire_time
          FROM email_directory
         WHERE bucket = $1
           AND email_hash = $2
        ",
    )
    .bind(number(email))
    .bind(&email.0[..])
    .fetch_optional(tx)
    .await?;
    Ok(row.and_then(Row::entry))
}

/// Gives an entry whose account is not there to another. `false`: it has changed meanwhile.
pub(super) async fn take_over(
    mut tx: Tx,
    entry: Entry,
    heir: UserId,
    expire_time: OffsetDateTime,
) -> Result<bool, Error> {
    let taken = sqlx::query(
        "
        UPDATE email_directory
           SET user_id = $4,
               state = 'pending',
               expire_time = $5
         WHERE bucket = $1
           AND email_hash = $2
           AND user_id = $3
        ",
    )
    .bind(number(entry.email))
    .bind(&entry.email.0[..])
    .bind(entry.user_id.uuid())
    .bind(heir.uuid())
    .bind(expire_time)
    .execute(&mut *tx)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Makes an entry pending until a time, or active. `false`: it is no longer this account's.
pub(super) async fn mark(
    mut tx: Tx,
    email: EmailKey,
    user_id: UserId,
    expire_time: Option<OffsetDateTime>,
) -> Result<bool, Error> {
    let marked = sqlx::query(
        "
        UPDATE email_directory
           SET state = CASE WHEN $4::timestamptz IS NULL THEN 'active' ELSE 'pending' END,
               expire_time = $4
         WHERE bucket = $1
           AND email_hash = $2
           AND user_id = $3
        ",
    )
    .bind(number(email))
    .bind(&email.0[..])
    .bind(user_id.uuid())
    .bind(expire_time)
    .execute(&mut *tx)
    .await?;
    Ok(marked.rows_affected() == 1)
}

/// Deletes an entry, unless it is another account's by now.
pub(super) async fn remove(mut tx: Tx, email: EmailKey, user_id: UserId) -> Result<(), Error> {
    sqlx::query(
        "DELETE FROM email_directory WHERE bucket = $1 AND email_hash = $2 AND user_id = $3",
    )
    .bind(number(email))
    .bind(&email.0[..])
    .bind(user_id.uuid())
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// Some of the entries here that have lapsed, oldest first.
pub(super) async fn lapsed(
    mut tx: Tx,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Entry>, Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "
        SELECT email_hash, user_id, expire_time
          FROM email_directory
         WHERE state = 'pending'
           AND expire_time <= $1
           AND shard_has(bucket)
         ORDER BY expire_time
         LIMIT $2
        ",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(&mut *tx)
    .await?;
    Ok(rows.into_iter().filter_map(Row::entry).collect())
}

fn number(email: EmailKey) -> i16 {
    email.bucket().get().cast_signed()
}

impl Entry {
    /// Whether nobody waits for its account any more.
    pub(super) fn has_lapsed(&self, now: OffsetDateTime) -> bool {
        self.expire_time.is_none_or(|expire_time| expire_time <= now)
    }
}

impl Row {
    fn entry(self) -> Option<Entry> {
        let email = EmailKey(self.email_hash.try_into().ok()?);
        let user_id = UserId::from_uuid(self.user_id);
        Some(Entry { email, user_id, expire_time: self.expire_time })
    }
}
