//! What a bus keeps of an outbox in Postgres, and what it has lost.

use time::OffsetDateTime;
use trellis_storage::{Error, Tx};
use uuid::Uuid;

use crate::outbox::{Kept, Lost, Ranges};

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

/// Ranges of the index: an inequality would read all of it.
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
                 FROM outbox
                WHERE stream > $2
                  AND published_time <= $6
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
    .execute(&mut *tx)
    .await?;
    Ok(usize::try_from(unpublished.rows_affected()).unwrap_or(usize::MAX))
}
