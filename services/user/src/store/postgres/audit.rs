//! Looks for what breaks the promises of this database.
//!
//! Every row is read, so this is for operators and tests, not for every minute.
//! Accounts are named by their ids, never by their addresses.

use futures::TryStreamExt as _;
use sqlx::PgConnection;
use trellis_api::id::UserId;
use trellis_storage::Tx;
use uuid::Uuid;

use crate::domain::Email;
use crate::error::Error;
use crate::store::Check;

pub(super) async fn run(mut tx: Tx) -> Result<Vec<Check>, Error> {
    Ok(vec![addresses(&mut tx).await?, sessions(&mut tx).await?])
}

type Address = (Uuid, String, Option<Vec<u8>>, Option<String>);

/// Every account has the one entry that its address hashes to, and every entry has an account.
///
/// The hash is the directory's key, so then no two accounts share an address.
async fn addresses(tx: &mut PgConnection) -> Result<Check, Error> {
    let mut check = Check::of("no email belongs to two accounts");
    let mut rows = sqlx::query_as::<_, Address>(
        "
        SELECT user_id, email, email_hash, state
          FROM users
          LEFT JOIN email_directory USING (bucket, user_id)
        ",
    )
    .fetch(&mut *tx);
    while let Some((user_id, email, entry, state)) = rows.try_next().await? {
        check.examined += 1;
        let wrong = match entry {
            None => "has no entry in the directory",
            Some(hash) if hash != Email::stored(email).key().0 => {
                "has the directory entry of another address"
            }
            Some(_) if state.as_deref() != Some("active") => "has an entry that is not active",
            Some(_) => continue,
        };
        check.violation(UserId::from_uuid(user_id).to_string(), wrong);
    }
    drop(rows);
    let mut rows = sqlx::query_scalar::<_, Uuid>(
        "
        SELECT user_id
          FROM email_directory
          LEFT JOIN users USING (bucket, user_id)
         WHERE users.user_id IS NULL
        ",
    )
    .fetch(tx);
    while let Some(user_id) = rows.try_next().await? {
        let subject = UserId::from_uuid(user_id).to_string();
        check.violation(subject, "has a directory entry and no account");
    }
    Ok(check)
}

async fn sessions(tx: &mut PgConnection) -> Result<Check, Error> {
    let mut check = Check::of("no session outlives its account");
    let mut rows = sqlx::query_as::<_, (Uuid, bool)>(
        "
        SELECT user_id, users.user_id IS NULL
          FROM sessions
          LEFT JOIN users USING (bucket, user_id)
        ",
    )
    .fetch(tx);
    while let Some((user_id, is_orphan)) = rows.try_next().await? {
        check.examined += 1;
        if is_orphan {
            check.violation(UserId::from_uuid(user_id).to_string(), "has a session and no account");
        }
    }
    Ok(check)
}
