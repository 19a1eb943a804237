//! What a bus keeps of an outbox in Postgres, and what it has lost.

use time::OffsetDateTime;
use trellis_storage::{Error, Tx};
use uuid::Uuid;

use crate::outbox::{Deposit, Kept, Lost, Ranges};

pub(super) async fn kept(mut tx: Tx, stream: &str, skip: u32) -> Result<Option<Kept>, Error> {
    let row: Option<(Uuid, i64)> = sqlx::query_as(
        "
        SELECT event_id, stream_sequence
          FROM outbox
         WHERE stream = $1
         ORDER BY stream_sequence DESC
         LIMIT 1 OFFSET $2
        ",
    )
    .bind(stream)
    .bind(i64::from(skip))
    .fetch_optional(&mut *tx)
    .await?;
    Ok(row.map(|(event_id, sequence)| Kept {
        event_id: event_id.to_string(),
        sequence: sequence.cast_unsigned(),
    }))
}

/// Ranges of the index: an inequality would read all of it. The newest come first, so that
/// who wants what is new does not read all that is old each time.
pub(super) async fn unpublish(
    mut tx: Tx,
    lost: &Lost,
    limit: u32,
    now: OffsetDateTime,
) -> Result<usize, Error> {
    let Ranges { below, beyond, within, above } = lost.ranges();
    let unpublished = sqlx::query(
        "
        UPDATE outbox
           SET published_time = NULL,
               stream = NULL,
               stream_sequence = NULL,
               losses = losses + 1,
               next_attempt_time = $6
         WHERE sequence IN (
               SELECT sequence
                 FROM outbox
                WHERE stream < $1
                  AND published_time <= $6
                UNION ALL
               SELECT sequence
                 FROM (SELECT sequence
                         FROM outbox
                        WHERE stream > $2
                          AND published_time BETWEEN $7 AND $6
                        ORDER BY stream DESC, stream_sequence DESC
                        LIMIT $5) AS newest
                UNION ALL
               SELECT sequence
                 FROM outbox
                WHERE stream = $3
                  AND stream_sequence > $4
                  AND published_time <= $6
                LIMIT $5)
        ",
    )
    .bind(below)
    .bind(beyond)
    .bind(within)
    .bind(above)
    .bind(i64::from(limit))
    .bind(now)
    .bind(lost.since())
    .execute(&mut *tx)
    .await?;
    Ok(usize::try_from(unpublished.rows_affected()).unwrap_or(usize::MAX))
}

pub(super) async fn deposits(
    mut tx: Tx,
    since: Option<OffsetDateTime>,
) -> Result<Vec<Deposit>, Error> {
    let rows: Vec<(String, i64, i64, OffsetDateTime)> = sqlx::query_as(
        "
        SELECT stream, count(*), max(stream_sequence), max(published_time)
          FROM outbox
         WHERE stream IS NOT NULL
           AND published_time >= $1
         GROUP BY stream
         ORDER BY stream
        ",
    )
    .bind(since.unwrap_or(OffsetDateTime::UNIX_EPOCH))
    .fetch_all(&mut *tx)
    .await?;
    let deposit = |(stream, count, highest, last): (String, i64, i64, _)| Deposit {
        stream: stream.into(),
        count: count.unsigned_abs(),
        highest: highest.cast_unsigned(),
        last,
    };
    Ok(rows.into_iter().map(deposit).collect())
}
