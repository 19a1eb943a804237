//! What is done to an account and to the entry of its address, one after the other.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::{Instant, sleep};
use trellis_api::id::UserId;
use trellis_storage::{self as storage, Shards};

use super::directory::{self, Entry};
use super::users;
use crate::domain::{Credentials, EmailKey, PasswordHash, Session, User};
use crate::error::Error;

/// How long an address is kept for an account that is to come, or to go. It is enough for
/// whoever works on it, and as long as a sign-up has to wait that finds a dead one's.
const PENDING: Duration = Duration::from_mins(1);
/// How long a sign-up waits for the fate of another with its address, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(20);
/// How many lapsed entries are looked after at once.
const BATCH: i64 = 100;

/// A sign-up that sees another's entry and no account waits, as it cannot know.
#[derive(Debug, thiserror::Error)]
#[error("somebody else is signing up with this address")]
struct Contended;

pub(super) async fn sign_up(
    shards: &Shards,
    user: &User,
    password_hash: &PasswordHash,
    session: &Session,
) -> Result<(), Error> {
    let (email, now) = (user.email.key(), user.create_time);
    claim(shards, email, user.id, now).await?;
    let created =
        shards.write(user.id.bucket(), |tx| users::create(tx, user, password_hash, session)).await;
    if let Err(error) = created {
        // If this fails too the entry lapses. If the account is there after all, it stays.
        let _ = release(shards, email, user.id).await;
        return Err(error);
    }
    let active = shards.write(email.bucket(), |tx| directory::mark(tx, email, user.id, None));
    if active.await? {
        return Ok(());
    }
    // It took so long that the entry lapsed, and another account has the address.
    shards.write(user.id.bucket(), |tx| users::withdraw(tx, user.id)).await?;
    Err(Error::EmailTaken)
}

/// Makes the entry of an address that of an account that is to come.
async fn claim(
    shards: &Shards,
    email: EmailKey,
    user_id: UserId,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let (bucket, expire_time) = (email.bucket(), now + PENDING);
    let began = Instant::now();
    loop {
        let entry =
            shards.write(bucket, |tx| directory::claim(tx, email, user_id, expire_time)).await?;
        let Some(entry) = entry else { return Ok(()) };
        if is_there(shards, entry.user_id).await? {
            return Err(Error::EmailTaken);
        }
        if entry.has_lapsed(now) {
            let heir = |tx| directory::take_over(tx, entry, user_id, expire_time);
            if shards.write(bucket, heir).await? {
                return Ok(());
            }
        }
        if PATIENCE <= began.elapsed() {
            return Err(storage::Error::Busy(Arc::new(Contended)).into());
        }
        sleep(LOOK).await;
    }
}

/// Deletes the entry of an account that is not there.
async fn release(shards: &Shards, email: EmailKey, user_id: UserId) -> Result<(), Error> {
    if is_there(shards, user_id).await? {
        return Ok(());
    }
    shards.write(email.bucket(), |tx| directory::remove(tx, email, user_id)).await
}

async fn is_there(shards: &Shards, user_id: UserId) -> Result<bool, Error> {
    shards.look_up(user_id.bucket(), |tx| users::is_there(tx, user_id)).await
}

pub(super) async fn credentials(
    shards: &Shards,
    email: EmailKey,
) -> Result<Option<Credentials>, Error> {
    let entry = shards.look_up(email.bucket(), |tx| directory::find(tx, email)).await?;
    let Some(Entry { user_id, .. }) = entry else { return Ok(None) };
    shards.look_up(user_id.bucket(), |tx| users::credentials(tx, user_id)).await
}

pub(super) async fn erase(
    shards: &Shards,
    user_id: UserId,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let user = shards.look_up(user_id.bucket(), |tx| users::get(tx, user_id)).await?;
    let (email, lapse) = (user.email.key(), Some(now + PENDING));
    // Should the rest of this be lost, the entry goes by itself.
    shards.write(email.bucket(), |tx| directory::mark(tx, email, user_id, lapse)).await?;
    shards.write(user_id.bucket(), |tx| users::delete(tx, user_id, now)).await?;
    let removed = shards.write(email.bucket(), |tx| directory::remove(tx, email, user_id)).await;
    if let Err(error) = removed {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "the address of an erased account is kept for a minute");
    }
    Ok(())
}

/// Brings entries that have lapsed into order: those of accounts are active, others go.
pub(super) async fn look_after(shards: &Shards, now: OffsetDateTime) -> Result<(), Error> {
    for shard in shards.each() {
        for entry in shard.look_up(|tx| directory::lapsed(tx, now, BATCH)).await? {
            let Entry { email, user_id, .. } = entry;
            if is_there(shards, user_id).await? {
                let mark = |tx| directory::mark(tx, email, user_id, None);
                shards.write(email.bucket(), mark).await?;
            } else {
                let remove = |tx| directory::remove(tx, email, user_id);
                shards.write(email.bucket(), remove).await?;
            }
        }
    }
    Ok(())
}
