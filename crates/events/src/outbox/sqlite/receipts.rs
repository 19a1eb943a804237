//! What a bus keeps of an outbox in SQLite, and what it has lost.

use rusqlite::{Connection, OptionalExtension as _, Row};
use time::OffsetDateTime;
use trellis_storage::{Error, from_micros, micros};

use crate::outbox::{Deposit, Kept, Lost, Ranges};

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

/// Ranges of the index: an inequality would read all of it. The newest come first, so that
/// who wants what is new does not read all that is old each time.
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
                 FROM (SELECT sequence
                         FROM outbox
                        WHERE stream > ?2
                          AND published_time BETWEEN ?7 AND ?6
                        ORDER BY stream DESC, stream_sequence DESC
                        LIMIT ?5) AS newest
                UNION ALL
               SELECT sequence
                 FROM outbox
                WHERE stream = ?3
                  AND stream_sequence > ?4
                  AND published_time <= ?6
                LIMIT ?5)
        ",
    )?;
    let since = micros(lost.since());
    Ok(statement.execute((below, beyond, within, above, limit, micros(now), since))?)
}

pub(super) fn deposits(
    tx: &Connection,
    since: Option<OffsetDateTime>,
) -> Result<Vec<Deposit>, Error> {
    let mut statement = tx.prepare_cached(
        "
        SELECT stream, count(*), max(stream_sequence), max(published_time)
          FROM outbox
         WHERE stream IS NOT NULL
           AND published_time >= ?1
         GROUP BY stream
         ORDER BY stream
        ",
    )?;
    let read = |row: &Row<'_>| {
        let (stream, count, highest): (String, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Deposit {
            stream: stream.into(),
            count: count.unsigned_abs(),
            highest: highest.cast_unsigned(),
            last: from_micros(row.get(3)?),
        })
    };
    let rows = statement.query_map([since.map_or(0, micros)], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}
