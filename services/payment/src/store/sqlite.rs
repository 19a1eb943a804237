//! The store on SQLite.

mod books;
mod rows;

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};
use time::OffsetDateTime;
use trellis_api::id::PaymentId;
use trellis_storage::{Migration, Options, Sqlite, from_micros, micros};

use self::rows::{COLUMNS, payment};
use super::row::{StateColumns, fingerprint, is_unsettled};
use super::{Books, Due, GRACE, Store};
use crate::domain::{Change, Entry, Intent, Payment};
use crate::error::Error;

const MIGRATIONS: &[Migration] = &[Migration {
    name: "0001_payments",
    sql: include_str!("../../migrations/sqlite/0001_payments.sql"),
}];

/// Payments and the ledger in one SQLite file.
#[derive(Clone, Debug)]
pub(super) struct SqliteStore {
    database: Sqlite,
}

impl SqliteStore {
    /// Opens the file, and makes it when there is none. Blocks.
    pub(super) fn open(path: &Path, options: &Options) -> Result<Self, trellis_storage::Error> {
        Ok(Self { database: Sqlite::open(path, MIGRATIONS, options)? })
    }
}

#[async_trait::async_trait]
impl Store for SqliteStore {
    async fn begin(&self, intent: Intent, now: OffsetDateTime) -> Result<Payment, Error> {
        self.database
            .write(move |tx| {
                let id = intent.payment;
                let fingerprint = fingerprint(&intent);
                let begun = Payment::begun(intent, now);
                if insert(tx, &begun, Some(&fingerprint))? {
                    return Ok(begun);
                }
                if is_other(tx, id, &fingerprint)? {
                    return Err(Error::IdReused(id));
                }
                find(tx, id)
            })
            .await
    }

    async fn void(&self, id: PaymentId, now: OffsetDateTime) -> Result<Payment, Error> {
        self.database
            .write(move |tx| {
                let tombstone = Payment::tombstone(id, now);
                if insert(tx, &tombstone, None)? {
                    return Ok(tombstone);
                }
                change(tx, id, Change::Void, now)
            })
            .await
    }

    async fn change(
        &self,
        id: PaymentId,
        what: Change,
        now: OffsetDateTime,
    ) -> Result<Payment, Error> {
        self.database.write(move |tx| change(tx, id, what, now)).await
    }

    async fn get(&self, id: PaymentId) -> Result<Payment, Error> {
        self.database.look_up(move |db| find(db, id)).await
    }

    async fn page(&self, after: Option<PaymentId>, limit: u32) -> Result<Vec<Payment>, Error> {
        let after = after.map_or_else(String::new, |id| id.to_string());
        self.database
            .read(move |db| {
                let mut statement = db.prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM payments WHERE payment_id > ?1
                     ORDER BY payment_id LIMIT ?2"
                ))?;
                let payments = statement.query_map(params![after, limit], payment)?;
                Ok(payments.collect::<Result<_, _>>()?)
            })
            .await
    }

    async fn due(&self, now: OffsetDateTime, limit: u32) -> Result<Vec<Due>, Error> {
        self.database
            .read(move |db| {
                let mut statement = db.prepare_cached(
                    "SELECT payment_id, attempts, next_attempt_time FROM payments
                     WHERE next_attempt_time <= ?1 ORDER BY next_attempt_time LIMIT ?2",
                )?;
                let due = statement.query_map(params![micros(now), limit], |row| {
                    let (payment, attempts) = (rows::parse(row, 0)?, row.get(1)?);
                    Ok(Due { payment, attempts, since: from_micros(row.get(2)?) })
                })?;
                Ok(due.collect::<Result<_, _>>()?)
            })
            .await
    }

    async fn postpone(
        &self,
        due: Due,
        until: Option<OffsetDateTime>,
        looks: u32,
    ) -> Result<(), Error> {
        self.database
            .write(move |tx| {
                tx.prepare_cached(
                    "UPDATE payments SET next_attempt_time = ?3, attempts = attempts + ?4
                     WHERE payment_id = ?1 AND next_attempt_time = ?2",
                )?
                .execute(params![
                    due.payment.to_string(),
                    micros(due.since),
                    until.map(micros),
                    looks
                ])?;
                Ok(())
            })
            .await
    }

    async fn books(&self) -> Result<Books, Error> {
        self.database.read(books::add_up).await
    }
}

fn find(db: &Connection, id: PaymentId) -> Result<Payment, Error> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM payments WHERE payment_id = ?1"))?
        .query_row([id.to_string()], payment)
        .optional()?
        .ok_or(Error::NotFound(id))
}

/// Whether a stored payment was asked for with something else. A tombstone was
/// not asked for at all.
fn is_other(tx: &Connection, id: PaymentId, fingerprint: &[u8; 32]) -> Result<bool, Error> {
    let known: Option<[u8; 32]> = tx
        .prepare_cached("SELECT fingerprint FROM payments WHERE payment_id = ?1")?
        .query_row([id.to_string()], |row| row.get(0))?;
    Ok(known.is_some_and(|known| known != *fingerprint))
}

/// Adds a payment, unless there is one with its id.
fn insert(
    tx: &Connection,
    payment: &Payment,
    fingerprint: Option<&[u8; 32]>,
) -> Result<bool, Error> {
    let columns = StateColumns::from(&payment.state);
    let inserted = tx
        .prepare_cached(
            "INSERT INTO payments (
                payment_id, state, currency, minor_units, fingerprint, token,
                create_time, update_time, next_attempt_time
             )
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)
             ON CONFLICT (payment_id) DO NOTHING",
        )?
        .execute(params![
            payment.id.to_string(),
            payment.state.name(),
            payment.amount.as_ref().map(rows::currency),
            payment.amount.map(trellis_api::Money::minor_units),
            fingerprint,
            columns.token,
            micros(payment.create_time),
            micros(payment.create_time + GRACE),
        ])?;
    Ok(inserted == 1)
}

fn change(
    tx: &Connection,
    id: PaymentId,
    change: Change,
    now: OffsetDateTime,
) -> Result<Payment, Error> {
    let before = find(tx, id)?;
    let Some((after, entry)) = before.apply(change, now)? else {
        return Ok(before);
    };
    let columns = StateColumns::from(&after.state);
    let updated = tx
        .prepare_cached(
            "UPDATE payments
                SET state = ?3, token = ?4, reference = ?5, decline_code = ?6,
                    capture_refusal = ?7, update_time = ?8, attempts = 0,
                    next_attempt_time = ?9
              WHERE payment_id = ?1 AND state = ?2",
        )?
        .execute(params![
            id.to_string(),
            before.state.name(),
            after.state.name(),
            columns.token,
            columns.reference,
            columns.decline_code,
            columns.capture_refusal,
            micros(after.update_time),
            is_unsettled(&after.state).then(|| micros(now + GRACE)),
        ])?;
    debug_assert_eq!(updated, 1, "nobody else writes inside this transaction");
    if let Some(entry) = entry {
        post(tx, &entry, now)?;
    }
    Ok(after)
}

/// Adds an entry to the ledger.
fn post(tx: &Connection, entry: &Entry, now: OffsetDateTime) -> Result<(), Error> {
    tx.prepare_cached(
        "INSERT INTO ledger_entries (payment_id, kind, create_time) VALUES (?1, ?2, ?3)",
    )?
    .execute(params![entry.payment.to_string(), entry.kind.as_str(), micros(now)])?;
    let [debit, credit] = &entry.postings;
    tx.prepare_cached(
        "INSERT INTO ledger_postings (entry_id, account, currency, minor_units)
         VALUES (?1, ?2, ?4, ?5), (?1, ?3, ?4, ?6)",
    )?
    .execute(params![
        tx.last_insert_rowid(),
        debit.account.as_str(),
        credit.account.as_str(),
        rows::currency(&debit.amount),
        debit.amount.minor_units(),
        credit.amount.minor_units(),
    ])?;
    Ok(())
}
