//! Looks for what breaks the promises of this database.
//!
//! Every row is read, so this is for operators and tests, not for every minute.
//! Accounts are named by their ids, never by their addresses.

use rusqlite::Connection;

use crate::domain::Email;
use crate::error::Error;
use crate::store::Check;

pub(super) fn run(tx: &Connection) -> Result<Vec<Check>, Error> {
    Ok(vec![addresses(tx)?, sessions(tx)?])
}

/// Every account has the one entry that its address hashes to, and every entry has an account.
///
/// The hash is the directory's key, so then no two accounts share an address.
fn addresses(tx: &Connection) -> Result<Check, Error> {
    let mut check = Check::of("no email belongs to two accounts");
    let mut statement = tx.prepare_cached(
        "
        SELECT users.user_id, users.email, email_directory.email_hash, email_directory.state
          FROM users
          LEFT JOIN email_directory ON email_directory.user_id = users.user_id
        ",
    )?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        check.examined += 1;
        let email = Email::stored(row.get(1)?);
        let entry: Option<[u8; 32]> = row.get(2)?;
        let state: Option<String> = row.get(3)?;
        let wrong = match entry {
            None => "has no entry in the directory",
            Some(hash) if hash != email.key().0 => "has the directory entry of another address",
            Some(_) if state.as_deref() != Some("active") => "has an entry that is not active",
            Some(_) => continue,
        };
        check.violation(row.get(0)?, wrong);
    }
    let mut statement = tx.prepare_cached(
        "
        SELECT user_id
          FROM email_directory
         WHERE NOT EXISTS (SELECT 1 FROM users WHERE users.user_id = email_directory.user_id)
        ",
    )?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        check.violation(row.get(0)?, "has a directory entry and no account");
    }
    Ok(check)
}

fn sessions(tx: &Connection) -> Result<Check, Error> {
    let mut check = Check::of("no session outlives its account");
    let mut statement = tx.prepare_cached(
        "
        SELECT sessions.user_id, users.user_id IS NULL
          FROM sessions
          LEFT JOIN users USING (bucket, user_id)
        ",
    )?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        check.examined += 1;
        if row.get(1)? {
            check.violation(row.get(0)?, "has a session and no account");
        }
    }
    Ok(check)
}
