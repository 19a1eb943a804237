//! Migrations of a Postgres database.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::session::ask;
use crate::{
    Error, Migration, Problem,
    migration::{self, Recorded},
};

/// Held while the schema is changed, by whichever process is first. Any number does, as
/// long as nobody else in the database takes it: these are the letters of "trellis".
const LOCK: i64 = 0x74_72_65_6c_6c_69_73;
/// A migration may rewrite a table, and whoever waits for its process waits for that.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(30);

/// Applies what is missing.
pub(super) async fn apply(
    connection: &mut PgConnection,
    migrations: &[Migration],
) -> Result<(), Error> {
    // In most starts nothing is missing, and nobody need wait for a lock.
    if missing(connection, migrations).await?.is_empty() {
        return Ok(());
    }
    let lock =
        format!("SET statement_timeout = 0; SET lock_timeout = 0; SELECT pg_advisory_lock({LOCK})");
    ask(connection, &lock, PATIENCE).await?;
    let applied = locked(connection, migrations).await;
    let unlock =
        format!("SELECT pg_advisory_unlock({LOCK}); RESET statement_timeout; RESET lock_timeout");
    ask(connection, &unlock, PATIENCE).await?;
    applied
}

async fn locked(connection: &mut PgConnection, migrations: &[Migration]) -> Result<(), Error> {
    ask(
        connection,
        r#"
        CREATE TABLE IF NOT EXISTS schema_migrations (
            name         text        COLLATE "C" NOT NULL PRIMARY KEY,
            checksum     text        NOT NULL,
            applied_time timestamptz NOT NULL DEFAULT now()
        )
        "#,
        PATIENCE,
    )
    .await?;
    for migration in missing(connection, migrations).await? {
        step(connection, migration).await.map_err(|error| Problem::Failed {
            name: migration.name.to_owned(),
            source: Arc::new(error),
        })?;
        tracing::info!(migration = migration.name, "schema migrated");
    }
    Ok(())
}

/// Checks, for a handle that may not write, that nothing is missing.
pub(super) async fn verify(
    connection: &mut PgConnection,
    migrations: &[Migration],
) -> Result<(), Error> {
    migration::none(&missing(connection, migrations).await?)
}

async fn missing<'m>(
    connection: &mut PgConnection,
    migrations: &'m [Migration],
) -> Result<Vec<&'m Migration>, Error> {
    migration::missing(migrations, recorded(connection).await?)
}

async fn recorded(connection: &mut PgConnection) -> Result<Vec<Recorded>, Error> {
    let exists: bool = sqlx::query_scalar("SELECT to_regclass('schema_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !exists {
        return Ok(Vec::new());
    }
    let rows = sqlx::query_as("SELECT name, checksum FROM schema_migrations ORDER BY name");
    Ok(rows.fetch_all(connection).await?)
}

/// The step and its record commit together or not at all.
async fn step(connection: &mut PgConnection, migration: &Migration) -> Result<(), Error> {
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(AssertSqlSafe(migration.sql)).execute(&mut *transaction).await?;
    sqlx::query("INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)")
        .bind(migration.name)
        .bind(migration.checksum())
        .execute(&mut *transaction)
        .await?;
    Ok(transaction.commit().await?)
}
