//! What the storage promises, asked of a real Postgres.

mod alone;
mod faults;
mod lost;
mod migrations;
mod replicas;
mod shards;
mod units;

use trellis_storage::{Error, Faults, Migration, Options, Postgres, Tx, Url};
use trellis_testkit::Database;

const NOTES: Migration = Migration {
    name: "0001_notes",
    sql: "CREATE TABLE notes (
              text text NOT NULL COLLATE \"C\" PRIMARY KEY,
              number bigint NOT NULL DEFAULT 0,
              CONSTRAINT notes_not_refused CHECK (text <> 'refused')
          )",
};

/// A database of the test's own; `None` where there is no Postgres.
async fn notes_database() -> Option<(Postgres, Database)> {
    let database = Database::postgres().await?;
    Some((open(database.url(), &Options::default()).await.unwrap(), database))
}

async fn open(url: &str, options: &Options) -> Result<Postgres, Error> {
    open_with(url, &[NOTES], options).await
}

async fn open_with(
    url: &str,
    migrations: &[Migration],
    options: &Options,
) -> Result<Postgres, Error> {
    let Ok(Url::Postgres(url)) = url.parse() else { panic!("{url}") };
    Postgres::open(&url, migrations, options).await
}

fn crashing(faults: Faults) -> Options {
    Options { faults, ..Options::default() }
}

async fn insert(mut tx: Tx, text: &str) -> Result<(), Error> {
    sqlx::query("INSERT INTO notes (text) VALUES ($1)").bind(text).execute(&mut *tx).await?;
    Ok(())
}

async fn note(database: &Postgres, text: &str) -> Result<(), Error> {
    database.write(|tx| insert(tx, text)).await
}

async fn notes(database: &Postgres) -> Vec<String> {
    let texts = async |mut tx: Tx| {
        Ok::<_, Error>(
            sqlx::query_scalar("SELECT text FROM notes ORDER BY text").fetch_all(&mut *tx).await?,
        )
    };
    database.look_up(&texts).await.unwrap()
}
