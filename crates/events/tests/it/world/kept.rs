//! What publishers and consumers keep, in either kind of database.

use std::path::Path;
use std::sync::Arc;

use time::OffsetDateTime;
use trellis_events::dead_letter::{DeadLetters, PostgresDeadLetters, SqliteDeadLetters};
use trellis_events::inbox::{Inbox, PostgresInbox, SqliteInbox};
use trellis_events::outbox::{Outbox, PostgresOutbox, SqliteOutbox};
use trellis_events::{Event, dead_letter, inbox, outbox};
use trellis_storage::lease::{self, postgres as postgres_lease};
use trellis_storage::{Error, Faults, Migration, Options, Postgres, Sqlite, Tx, Url};
use trellis_testkit::Database;

const EFFECTS: Migration = Migration {
    name: "effects_0001",
    // No constraint hides an effect that happens twice.
    sql: "CREATE TABLE effects (subject TEXT NOT NULL)",
};

/// A database with everything that events need, and a table of effects.
#[derive(Clone)]
pub(crate) enum Kept {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Kept {
    /// The database `name` of all that share `folder`.
    pub(crate) async fn open(folder: &Path, name: &str, faults: &Faults) -> Self {
        Self::at(Database::in_folder(folder, name).await.parse().unwrap(), faults).await
    }

    /// A file, for a test whose time is stopped: an answer over a network would come too
    /// late there.
    pub(crate) async fn file(folder: &Path, name: &str, faults: &Faults) -> Self {
        Self::at(Url::Sqlite(folder.join(name)), faults).await
    }

    pub(crate) async fn at(url: Url, faults: &Faults) -> Self {
        let options = Options { faults: faults.clone(), ..Options::default() };
        match url {
            Url::Sqlite(path) => {
                let migrations = [
                    lease::MIGRATION,
                    outbox::MIGRATION,
                    outbox::RECEIPTS,
                    inbox::MIGRATION,
                    dead_letter::MIGRATION,
                    EFFECTS,
                ];
                Self::Sqlite(Sqlite::open(&path, &migrations, &options).unwrap())
            }
            Url::Shards(_) => unreachable!("it is one database"),
            Url::Postgres(url) => {
                let migrations = [
                    postgres_lease::MIGRATION,
                    outbox::postgres::MIGRATION,
                    outbox::postgres::RECEIPTS,
                    inbox::postgres::MIGRATION,
                    dead_letter::postgres::MIGRATION,
                    EFFECTS,
                ];
                Self::Postgres(Postgres::open(&url, &migrations, &options).await.unwrap())
            }
        }
    }

    pub(crate) fn outbox(&self) -> Arc<dyn Outbox> {
        match self {
            Self::Sqlite(database) => Arc::new(SqliteOutbox::new(database.clone())),
            Self::Postgres(database) => Arc::new(PostgresOutbox::new(database.clone())),
        }
    }

    pub(crate) fn inbox(&self) -> Arc<dyn Inbox> {
        match self {
            Self::Sqlite(database) => Arc::new(SqliteInbox::new(database.clone())),
            Self::Postgres(database) => Arc::new(PostgresInbox::new(database.clone())),
        }
    }

    pub(crate) fn dead_letters(&self) -> Arc<dyn DeadLetters> {
        match self {
            Self::Sqlite(database) => Arc::new(SqliteDeadLetters::new(database.clone())),
            Self::Postgres(database) => Arc::new(PostgresDeadLetters::new(database.clone())),
        }
    }

    /// Appends the events in one unit of work, which then ends as `end` says.
    pub(crate) async fn append(
        &self,
        events: Vec<Event>,
        end: Result<(), Error>,
    ) -> Result<(), Error> {
        match self {
            Self::Sqlite(database) => {
                let append = move |tx: &_| {
                    events.iter().try_for_each(|event| outbox::append(tx, event))?;
                    end
                };
                database.write(append).await
            }
            Self::Postgres(database) => database.write(|tx| append(tx, &events, &end)).await,
        }
    }

    /// Applies an event that was not applied before.
    pub(crate) async fn apply(
        &self,
        consumer: &'static str,
        event: &Event,
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        match self {
            Self::Sqlite(database) => {
                let event = event.clone();
                let apply = move |tx: &rusqlite::Connection| {
                    if inbox::admit(tx, consumer, &event.event_id, now)? {
                        tx.execute("INSERT INTO effects VALUES (?1)", [&event.subject])?;
                    }
                    Ok(())
                };
                database.write(apply).await
            }
            Self::Postgres(database) => database.write(|tx| apply(tx, consumer, event, now)).await,
        }
    }

    /// The texts that a query gives.
    pub(crate) async fn texts(&self, query: &'static str) -> Vec<String> {
        let texts = match self {
            Self::Sqlite(database) => {
                let texts = move |tx: &rusqlite::Connection| {
                    let mut statement = tx.prepare(query)?;
                    let rows = statement.query_map((), |row| row.get(0))?;
                    Ok::<_, Error>(rows.collect::<Result<_, _>>()?)
                };
                database.read(texts).await
            }
            Self::Postgres(database) => database.look_up(|tx| texts(tx, query)).await,
        };
        texts.unwrap()
    }

    /// Of the outbox: attempts, the next of them, and whether it is published.
    pub(crate) async fn outbox_row(&self, subject: &'static str) -> (u32, OffsetDateTime, bool) {
        let row = match self {
            Self::Sqlite(database) => {
                let row = move |tx: &rusqlite::Connection| {
                    let row = tx.query_row(
                        "SELECT attempts, next_attempt_time, published_time IS NOT NULL
                           FROM outbox WHERE subject = ?1",
                        [subject],
                        |row| {
                            let next = trellis_storage::from_micros(row.get(1)?);
                            Ok((row.get(0)?, next, row.get(2)?))
                        },
                    )?;
                    Ok::<_, Error>(row)
                };
                database.read(row).await
            }
            Self::Postgres(database) => database.look_up(|tx| outbox_row(tx, subject)).await,
        };
        let (attempts, next, published): (i32, _, _) = row.unwrap();
        (attempts.unsigned_abs(), next, published)
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(database) => database.close().await,
            Self::Postgres(database) => database.close().await,
        }
    }
}

async fn append(mut tx: Tx, events: &[Event], end: &Result<(), Error>) -> Result<(), Error> {
    for event in events {
        outbox::postgres::append(&mut tx, event).await?;
    }
    end.clone()
}

async fn apply(
    mut tx: Tx,
    consumer: &str,
    event: &Event,
    now: OffsetDateTime,
) -> Result<(), Error> {
    if inbox::postgres::admit(&mut tx, consumer, &event.event_id, now).await? {
        let effect = sqlx::query("INSERT INTO effects VALUES ($1)").bind(&event.subject);
        effect.execute(&mut *tx).await?;
    }
    Ok(())
}

async fn outbox_row(mut tx: Tx, subject: &str) -> Result<(i32, OffsetDateTime, bool), Error> {
    let row = sqlx::query_as(
        "SELECT attempts, next_attempt_time, published_time IS NOT NULL
           FROM outbox WHERE subject = $1",
    );
    Ok(row.bind(subject).fetch_one(&mut *tx).await?)
}

async fn texts(mut tx: Tx, query: &'static str) -> Result<Vec<String>, Error> {
    Ok(sqlx::query_scalar(query).fetch_all(&mut *tx).await?)
}
