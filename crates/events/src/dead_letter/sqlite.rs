//! Dead letters in SQLite.

use prost::Message as _;
use rusqlite::types::Type;
use rusqlite::{Connection, Row};
use trellis_storage::{Error, Sqlite, from_micros, micros};

use super::{DeadLetter, DeadLetters, Place, Replay};
use crate::Event;

/// Dead letters in a service's own database.
#[derive(Clone, Debug)]
pub struct SqliteDeadLetters {
    database: Sqlite,
}

impl SqliteDeadLetters {
    /// Dead letters in `database`, whose migrations include this one.
    pub fn new(database: Sqlite) -> Self {
        Self { database }
    }
}

#[async_trait::async_trait]
impl DeadLetters for SqliteDeadLetters {
    async fn bury(&self, consumer: &'static str, letter: DeadLetter) -> Result<(), Error> {
        self.database.write(move |tx| bury(tx, consumer, &letter)).await
    }

    async fn list(
        &self,
        consumer: &'static str,
        after: Option<Place>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, Error> {
        self.database.read(move |tx| list(tx, consumer, after, limit)).await
    }

    async fn count(&self, consumer: &'static str) -> Result<u64, Error> {
        self.database.read(move |tx| count(tx, consumer)).await
    }

    async fn find(
        &self,
        consumer: &'static str,
        event_ids: Vec<String>,
    ) -> Result<Vec<DeadLetter>, Error> {
        self.database.read(move |tx| find(tx, consumer, &event_ids)).await
    }

    async fn settle(&self, consumer: &'static str, replays: Vec<Replay>) -> Result<(), Error> {
        self.database
            .write(move |tx| replays.iter().try_for_each(|replay| settle(tx, consumer, replay)))
            .await
    }
}

fn bury(tx: &Connection, consumer: &str, letter: &DeadLetter) -> Result<(), Error> {
    tx.prepare_cached(
        "
        INSERT INTO dead_letters
               (consumer, event_id, kind, subject, event, attempts, error, create_time)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
        ON CONFLICT (consumer, event_id) DO NOTHING
        ",
    )?
    .execute((
        consumer,
        &letter.event.event_id,
        &letter.event.r#type,
        &letter.event.subject,
        letter.event.encode_to_vec(),
        letter.attempts,
        &letter.error,
        micros(letter.create_time),
    ))?;
    Ok(())
}

fn list(
    tx: &Connection,
    consumer: &str,
    after: Option<Place>,
    limit: u32,
) -> Result<Vec<DeadLetter>, Error> {
    let (create_time, event_id) = after
        .map_or((i64::MIN, String::new()), |place| (micros(place.create_time), place.event_id));
    let mut statement = tx.prepare_cached(
        "
        SELECT event, attempts, error, create_time
          FROM dead_letters
         WHERE consumer = ?1
           AND (create_time, event_id) > (?2, ?3)
         ORDER BY create_time, event_id
         LIMIT ?4
        ",
    )?;
    let rows = statement.query_map((consumer, create_time, event_id, limit), read_letter)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn count(tx: &Connection, consumer: &str) -> Result<u64, Error> {
    let mut statement =
        tx.prepare_cached("SELECT count(*) FROM dead_letters WHERE consumer = ?1")?;
    let count: i64 = statement.query_row([consumer], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

fn find(tx: &Connection, consumer: &str, event_ids: &[String]) -> Result<Vec<DeadLetter>, Error> {
    let mut statement = tx.prepare_cached(
        "
        SELECT event, attempts, error, create_time
          FROM dead_letters
         WHERE consumer = ?1
           AND event_id IN (SELECT value FROM json_each(?2))
         ORDER BY create_time, event_id
        ",
    )?;
    let event_ids = serde_json::to_string(event_ids).expect("texts can be written as JSON");
    let rows = statement.query_map((consumer, event_ids), read_letter)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn settle(tx: &Connection, consumer: &str, replay: &Replay) -> Result<(), Error> {
    if let Some(error) = &replay.error {
        tx.prepare_cached(
            "
            UPDATE dead_letters
               SET attempts = attempts + 1,
                   error = ?3
             WHERE consumer = ?1
               AND event_id = ?2
            ",
        )?
        .execute((consumer, &replay.event_id, error))?;
    } else {
        tx.prepare_cached(
            "
            DELETE FROM dead_letters
             WHERE consumer = ?1
               AND event_id = ?2
            ",
        )?
        .execute((consumer, &replay.event_id))?;
    }
    Ok(())
}

fn read_letter(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    let event: Vec<u8> = row.get(0)?;
    let event = Event::decode(event.as_slice())
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, error.into()))?;
    Ok(DeadLetter {
        event,
        attempts: row.get(1)?,
        error: row.get(2)?,
        create_time: from_micros(row.get(3)?),
    })
}
