//! Forward-only changes of a schema, each applied once and recorded.
//!
//! The record carries a checksum, so that an edited migration is noticed
//! instead of leaving two databases of one version with different tables.
//! There is no way down: an older binary refuses a newer database.

use std::{fmt::Write, sync::Arc};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use sha2::{Digest, Sha256};

use crate::{Cause, Error};

/// One step of a schema; applied in the order of the list it stands in.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Identifies the step for good, such as `0001_orders`.
    pub name: &'static str,
    /// Statements without BEGIN and COMMIT.
    ///
    /// Foreign keys must not be DEFERRED: they would be checked at the commit,
    /// and fail every unit of work that shares it.
    pub sql: &'static str,
}

/// The name and the checksum of a migration that was applied.
pub(crate) type Recorded = (String, String);

/// Why a database and this program do not fit together.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Problem {
    #[error(
        "migration {name} was edited after it was applied: take the edit back and put the change into a new migration"
    )]
    Edited { name: String },
    #[error(
        "migration {name} is not known to this version: start the newer version that applied it, or restore a backup from before"
    )]
    Unknown { name: String },
    #[error("migration {name} is not applied yet: start the service once, or run trellis migrate")]
    Pending { name: String },
    #[error("two migrations are named {name}: rename one")]
    Duplicate { name: String },
    #[error("migration {name} failed and was rolled back")]
    Failed { name: String, source: Cause },
}

/// Applies what is missing.
pub(crate) fn apply(connection: &mut Connection, migrations: &[Migration]) -> Result<(), Error> {
    connection.execute_batch(
        "
        CREATE TABLE IF NOT EXISTS schema_migrations (
            name         TEXT    NOT NULL PRIMARY KEY,
            checksum     TEXT    NOT NULL,
            applied_time INTEGER NOT NULL
        ) STRICT
        ",
    )?;
    for migration in missing(migrations, recorded(connection)?)? {
        step(connection, migration).map_err(|error| Problem::Failed {
            name: migration.name.to_owned(),
            source: Arc::new(error),
        })?;
        tracing::info!(migration = migration.name, "schema migrated");
    }
    Ok(())
}

/// Checks, for a handle that may not write, that nothing is missing.
pub(crate) fn verify(connection: &Connection, migrations: &[Migration]) -> Result<(), Error> {
    none(&missing(migrations, recorded(connection)?)?)
}

/// Fails if any is missing.
pub(crate) fn none(missing: &[&Migration]) -> Result<(), Error> {
    match missing.first() {
        Some(migration) => Err(Problem::Pending { name: migration.name.to_owned() }.into()),
        None => Ok(()),
    }
}

/// Those of `migrations` that a database has not recorded yet.
pub(crate) fn missing(
    migrations: &[Migration],
    recorded: Vec<Recorded>,
) -> Result<Vec<&Migration>, Error> {
    for (index, migration) in migrations.iter().enumerate() {
        if migrations[..index].iter().any(|earlier| earlier.name == migration.name) {
            return Err(Problem::Duplicate { name: migration.name.to_owned() }.into());
        }
    }

    let mut missing: Vec<_> = migrations.iter().collect();
    for (name, checksum) in recorded {
        let Some(migration) = migrations.iter().find(|migration| migration.name == name) else {
            return Err(Problem::Unknown { name }.into());
        };
        if migration.checksum() != checksum {
            return Err(Problem::Edited { name }.into());
        }
        missing.retain(|migration| migration.name != name);
    }
    Ok(missing)
}

fn recorded(connection: &Connection) -> Result<Vec<Recorded>, Error> {
    let exists = connection
        .query_row("SELECT 1 FROM sqlite_schema WHERE name = 'schema_migrations'", [], |_| Ok(()))
        .optional()?;
    if exists.is_none() {
        return Ok(Vec::new());
    }
    let mut statement =
        connection.prepare("SELECT name, checksum FROM schema_migrations ORDER BY rowid")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The step and its record commit together or not at all.
fn step(connection: &mut Connection, migration: &Migration) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(migration.sql)?;
    transaction.execute(
        "
        INSERT INTO schema_migrations (name, checksum, applied_time)
        VALUES (?1, ?2, CAST(unixepoch('subsec') * 1000000 AS INTEGER))
        ",
        (migration.name, migration.checksum()),
    )?;
    transaction.commit()
}

impl Migration {
    pub(crate) fn checksum(&self) -> String {
        let mut text = String::with_capacity(64);
        for byte in Sha256::digest(self.sql) {
            write!(text, "{byte:02x}").expect("a string takes all that is written to it");
        }
        text
    }
}
