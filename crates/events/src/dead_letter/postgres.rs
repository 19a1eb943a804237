//! Dead letters in Postgres.

use prost::Message as _;
use sqlx::FromRow;
use time::OffsetDateTime;
use trellis_storage::{Error, Migration, Postgres, Tx};

use super::{DeadLetter, DeadLetters, Place, Replay};
use crate::Event;

/// The table; put it among a service's own migrations.
pub const MIGRATION: Migration =
    Migration { name: "dead_letters_0001", sql: include_str!("postgres.sql") };

/// Dead letters in a service's own database.
#[derive(Clone, Debug)]
pub struct PostgresDeadLetters {
    database: Postgres,
}

#[derive(FromRow)]
struct Row {
    event: Vec<u8>,
    attempts: i32,
    error: String,
    create_time: OffsetDateTime,
}

impl PostgresDeadLetters {
    /// Dead letters in `database`, whose migrations include this one.
    pub fn new(database: Postgres) -> Self {
        Self { database }
    }
}

#[async_trait::async_trait]
impl DeadLetters for PostgresDeadLetters {
    async fn bury(&self, consumer: &'static str, letter: DeadLetter) -> Result<(), Error> {
        self.database.write(|tx| bury(tx, consumer, &letter)).await
    }

    async fn list(
        &self,
        consumer: &'static str,
        after: Option<Place>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, Error> {
        self.database.look_up(|tx| list(tx, consumer, after.as_ref(), limit)).await
    }

    async fn count(&self, consumer: &'static str) -> Result<u64, Error> {
        self.database.look_up(|tx| count(tx, consumer)).await
    }

    async fn find(
        &self,
        consumer: &'static str,
        event_ids: Vec<String>,
    ) -> Result<Vec<DeadLetter>, Error> {
        self.database.look_up(|tx| find(tx, consumer, &event_ids)).await
    }

    async fn settle(&self, consumer: &'static str, replays: Vec<Replay>) -> Result<(), Error> {
        self.database.write(|tx| settle(tx, consumer, &replays)).await
    }
}

async fn bury(mut tx: Tx, consumer: &str, letter: &DeadLetter) -> Result<(), Error> {
    sqlx::query(
        "
        INSERT INTO dead_letters
               (consumer, event_id, kind, subject, event, attempts, error, create_time)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (consumer, event_id) DO NOTHING
        ",
    )
    .bind(consumer)
    .bind(&letter.event.event_id)
    // Postgres keeps no text with such a character; the event has it as it came.
    .bind(letter.event.r#type.replace('\0', ""))
    .bind(letter.event.subject.replace('\0', ""))
    .bind(letter.event.encode_to_vec())
    .bind(i32::try_from(letter.attempts).unwrap_or(i32::MAX))
    .bind(letter.error.replace('\0', ""))
    .bind(letter.create_time)
    .execute(&mut *tx)
    .await?;
    Ok(())
}

async fn list(
    mut tx: Tx,
    consumer: &str,
    after: Option<&Place>,
    limit: u32,
) -> Result<Vec<DeadLetter>, Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "
        SELECT event, attempts, error, create_time
          FROM dead_letters
         WHERE consumer = $1
           AND ($2::timestamptz IS NULL OR (create_time, event_id) > ($2, $3))
         ORDER BY create_time, event_id
         LIMIT $4
        ",
    )
    .bind(consumer)
    .bind(after.map(|place| place.create_time))
    .bind(after.map(|place| place.event_id.as_str()))
    .bind(i64::from(limit))
    .fetch_all(&mut *tx)
    .await?;
    rows.into_iter().map(Row::letter).collect()
}

async fn count(mut tx: Tx, consumer: &str) -> Result<u64, Error> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM dead_letters WHERE consumer = $1")
        .bind(consumer)
        .fetch_one(&mut *tx)
        .await?;
    Ok(count.unsigned_abs())
}

async fn find(mut tx: Tx, consumer: &str, event_ids: &[String]) -> Result<Vec<DeadLetter>, Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "
        SELECT event, attempts, error, create_time
          FROM dead_letters
         WHERE consumer = $1
           AND event_id = ANY($2)
         ORDER BY create_time, event_id
        ",
    )
    .bind(consumer)
    .bind(event_ids)
    .fetch_all(&mut *tx)
    .await?;
    rows.into_iter().map(Row::letter).collect()
}

async fn settle(mut tx: Tx, consumer: &str, replays: &[Replay]) -> Result<(), Error> {
    for replay in replays {
        let query = match &replay.error {
            Some(error) => sqlx::query(
                "
                UPDATE dead_letters
                   SET attempts = attempts + 1, error = $3
                 WHERE consumer = $1
                   AND event_id = $2
                ",
            )
            .bind(consumer)
            .bind(&replay.event_id)
            .bind(error.replace('\0', "")),
            None => sqlx::query("DELETE FROM dead_letters WHERE consumer = $1 AND event_id = $2")
                .bind(consumer)
                .bind(&replay.event_id),
        };
        query.execute(&mut *tx).await?;
    }
    Ok(())
}

impl Row {
    fn letter(self) -> Result<DeadLetter, Error> {
        let event = Event::decode(self.event.as_slice())
            .map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(DeadLetter {
            event,
            attempts: self.attempts.unsigned_abs(),
            error: self.error,
            create_time: self.create_time,
        })
    }
}
