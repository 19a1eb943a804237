//! Looks for what breaks the promises of these databases.
//!
//! Every row is read, so this is for operators and tests, not for every minute. An entry of
//! the directory may be in another database than its account, and people sign up and go
//! meanwhile: so what looks wrong is looked at again, alone. Accounts are named by their
//! ids, never by their addresses.

use std::collections::HashMap;

use futures::TryStreamExt as _;
use trellis_api::id::UserId;
use trellis_storage::{Shards, Tx};
use uuid::Uuid;

use super::{directory, users};
use crate::domain::{Email, EmailKey};
use crate::error::Error;
use crate::store::Check;

/// How many that look wrong are looked at again. If there are more, it is no coincidence.
const DOUBTS: usize = 10_000;

/// What a shard has, in short.
#[derive(Default)]
struct Found {
    accounts: Vec<(UserId, EmailKey)>,
    entries: Vec<(EmailKey, UserId)>,
    sessions: i64,
    orphans: Vec<UserId>,
}

pub(super) async fn run(shards: &Shards) -> Result<Vec<Check>, Error> {
    let mut all = Found::default();
    for shard in shards.each() {
        let found: Found = shard.read(look).await?;
        all.accounts.extend(found.accounts);
        all.entries.extend(found.entries);
        all.sessions += found.sessions;
        all.orphans.extend(found.orphans);
    }
    let mut sessions = Check::of("no session outlives its account");
    sessions.examined = all.sessions;
    for user_id in &all.orphans {
        sessions.violation(user_id.to_string(), "has a session and no account");
    }
    Ok(vec![addresses(shards, &all).await?, sessions])
}

/// Every account has the one entry that its address hashes to, and every entry that does
/// not lapse has an account.
///
/// The hash is the directory's key, so then no two accounts share an address.
async fn addresses(shards: &Shards, all: &Found) -> Result<Check, Error> {
    let mut check = Check::of("no email belongs to two accounts");
    check.examined = i64::try_from(all.accounts.len()).unwrap_or(i64::MAX);
    let entries: HashMap<[u8; 32], UserId> =
        all.entries.iter().map(|(email, user_id)| (email.0, *user_id)).collect();
    let accounts: HashMap<Uuid, [u8; 32]> =
        all.accounts.iter().map(|(user_id, email)| (user_id.uuid(), email.0)).collect();

    let without_entry = all.accounts.iter().filter(|(id, email)| entries.get(&email.0) != Some(id));
    for (user_id, email) in without_entry.take(DOUBTS) {
        if !is_sound(shards, *user_id, *email).await? {
            check.violation(user_id.to_string(), "is not what its address has in the directory");
        }
    }
    let without_account =
        all.entries.iter().filter(|(_, user_id)| !accounts.contains_key(&user_id.uuid()));
    for (email, user_id) in without_account.take(DOUBTS) {
        if is_orphan(shards, *email, *user_id).await? {
            check.violation(user_id.to_string(), "has a directory entry and no account");
        }
    }
    Ok(check)
}

/// Whether an account has its entry now, or is gone.
async fn is_sound(shards: &Shards, user_id: UserId, email: EmailKey) -> Result<bool, Error> {
    let entry = shards.look_up(email.bucket(), |tx| directory::find(tx, email)).await?;
    if entry.is_some_and(|entry| entry.user_id == user_id) {
        return Ok(true);
    }
    let is_there = shards.look_up(user_id.bucket(), |tx| users::is_there(tx, user_id)).await?;
    Ok(!is_there)
}

/// Whether an entry is there now, for good, and its account is not.
async fn is_orphan(shards: &Shards, email: EmailKey, user_id: UserId) -> Result<bool, Error> {
    if shards.look_up(user_id.bucket(), |tx| users::is_there(tx, user_id)).await? {
        return Ok(false);
    }
    let entry = shards.look_up(email.bucket(), |tx| directory::find(tx, email)).await?;
    Ok(entry.is_some_and(|entry| entry.user_id == user_id && entry.expire_time.is_none()))
}

async fn look(mut tx: Tx) -> Result<Found, Error> {
    let mut found = Found::default();
    let mut rows = sqlx::query_as::<_, (Uuid, String)>(
        "SELECT user_id, email FROM users JOIN shard_here USING (bucket)",
    )
    .fetch(&mut *tx);
    while let Some((user_id, email)) = rows.try_next().await? {
        found.accounts.push((UserId::from_uuid(user_id), Email::stored(email).key()));
    }
    drop(rows);
    let mut rows = sqlx::query_as::<_, (Vec<u8>, Uuid)>(
        "SELECT email_hash, user_id FROM email_directory JOIN shard_here USING (bucket)",
    )
    .fetch(&mut *tx);
    while let Some((email, user_id)) = rows.try_next().await? {
        let email = email.try_into().map_or(EmailKey([0; 32]), EmailKey);
        found.entries.push((email, UserId::from_uuid(user_id)));
    }
    drop(rows);
    let mut rows = sqlx::query_as::<_, (Uuid, bool)>(
        "
        SELECT user_id, users.user_id IS NULL
          FROM sessions
          JOIN shard_here USING (bucket)
          LEFT JOIN users USING (bucket, user_id)
        ",
    )
    .fetch(&mut *tx);
    while let Some((user_id, is_orphan)) = rows.try_next().await? {
        found.sessions += 1;
        if is_orphan {
            found.orphans.push(UserId::from_uuid(user_id));
        }
    }
    drop(rows);
    Ok(found)
}
