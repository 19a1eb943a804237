//! What a bus keeps of an outbox in SQLite, and what it has lost.

use rusqlite::{Connection, OptionalExtension as _, Row};
use time::OffsetDateTime;
use trellis_storage::{Error, micros};

use crate::outbox::{Kept, Lost, Ranges};

pub(super) fn kept(tx: &Connection, stream: &str, skip: u32) -> Result<Option<Kept>, Error> {
    let mut statement = tx.prepare_cached(
        "
        SELECT event_id, stream_sequence
          FROM outbox
         WHERE stream = ?1
         ORDER BY stream_sequence DESC
         LIMIT 1 OFFSET ?2
        ",
    )?;
    let read = |row: &Row<'_>| {
        let sequence: i64 = row.get(1)?;
        Ok(Kept { event_id: row.get(0)?, sequence: sequence.cast_unsigned() })
    };
    Ok(statement.query_row((stream, skip), read).optional()?)
}

/// Ranges of the index: an inequality would read all of it.
pub(super) fn unpublish(
    tx: &Connection,
    lost: &Lost,
    limit: u32,
    now: OffsetDateTime,
) -> Result<usize, Error> {
    let Ranges { below, beyond, within, above } = lost.ranges();
    let mut statement = tx.prepare_cached(
        "
        UPDATE outbox
           SET published_time = NULL,
               stream = NULL,
               stream_sequence = NULL,
               losses = losses + 1,
               next_attempt_time = ?6
         WHERE sequence IN (
               SELECT sequence
                 FROM outbox
                WHERE stream < ?1
                  AND published_time <= ?6
                UNION ALL
               SELECT sequence
                 FROM outbox
                WHERE stream > ?2
                  AND published_time <= ?6
                UNION ALL
               SELECT sequence
                 FROM outbox
                WHERE stream = ?3
                  AND stream_sequence > ?4
                  AND published_time <= ?6
                LIMIT ?5)
        ",
    )?;
    Ok(statement.execute((below, beyond, within, above, limit, micros(now)))?)
}
