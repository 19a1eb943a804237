//! Remembers what a request was answered, so that its repetition changes nothing.
//!
//! A record commits in the same transaction as the work it guards. Purely local
//! work claims and finishes in one unit; work that spans services claims with
//! the subject a repetition can attach to, and finishes when the answer is
//! definite.

pub mod postgres;

use std::fmt;

use rusqlite::{Connection, OptionalExtension};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Error, Migration, micros};

/// The table this module works on; put it among a service's own migrations.
pub const MIGRATION: Migration =
    Migration { name: "idempotency_0001", sql: include_str!("idempotency/0001.sql") };

/// How many records [`purge`] removes at most, so that no other unit of work
/// waits long behind it.
pub const PURGE_LIMIT: u64 = 2_000;

/// SHA-256 over the business fields of a request: tells a repetition from
/// another request under the same key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

/// What the caller was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// A gRPC code; 0 is success.
    pub code: i32,
    /// The encoded response, or the encoded `google.rpc.Status`.
    pub body: Vec<u8>,
}

/// What is known of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is the caller's to do.
    New,
    /// It was claimed before and has no answer yet.
    InFlight { subject: String },
    /// It was done: say the same again.
    Finished(Answer),
    /// The key was used for another request.
    Mismatch,
}

/// Claims `key` within `scope`, which names the caller and the method.
///
/// `subject` is what a repetition attaches to, such as an order's id.
pub fn claim(
    tx: &Connection,
    scope: &str,
    key: Uuid,
    fingerprint: &Fingerprint,
    subject: &str,
    now: OffsetDateTime,
) -> Result<Claim, Error> {
    let inserted = tx
        .prepare_cached(
            "
            INSERT INTO idempotency (scope, key, fingerprint, subject, create_time)
            VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT (scope, key) DO NOTHING
            ",
        )?
        .execute((scope, key_text(key), fingerprint.0, subject, micros(now)))?;
    if inserted == 1 {
        return Ok(Claim::New);
    }
    Ok(find(tx, scope, key, fingerprint)?.expect("what stood in the way of the insert is there"))
}

/// What is known of a request, without claiming it.
pub fn find(
    tx: &Connection,
    scope: &str,
    key: Uuid,
    fingerprint: &Fingerprint,
) -> Result<Option<Claim>, Error> {
    let claim = tx
        .prepare_cached(
            "
            SELECT fingerprint, subject, code, body
              FROM idempotency
             WHERE scope = ?1
               AND key = ?2
            ",
        )?
        .query_row((scope, key_text(key)), |row| {
            if row.get::<_, [u8; 32]>(0)? != fingerprint.0 {
                return Ok(Claim::Mismatch);
            }
            Ok(match row.get(2)? {
                Some(code) => Claim::Finished(Answer { code, body: row.get(3)? }),
                None => Claim::InFlight { subject: row.get(1)? },
            })
        })
        .optional()?;
    Ok(claim)
}

/// Records the answer of a claimed request.
///
/// The first answer stays: a second one changes nothing, nor does one for a
/// record that was purged.
pub fn finish(tx: &Connection, scope: &str, key: Uuid, answer: &Answer) -> Result<(), Error> {
    tx.prepare_cached(
        "
        UPDATE idempotency
           SET code = ?3, body = ?4
         WHERE scope = ?1
           AND key = ?2
           AND code IS NULL
        ",
    )?
    .execute((scope, key_text(key), answer.code, &answer.body))?;
    Ok(())
}

/// Removes the oldest records made before `before`, finished or not, and says how many.
///
/// Callers are promised 72 hours. At most [`PURGE_LIMIT`] go at once: when so
/// many went, call again.
pub fn purge(tx: &Connection, before: OffsetDateTime) -> Result<u64, Error> {
    let removed = tx
        .prepare_cached(
            "
            DELETE FROM idempotency
             WHERE (scope, key) IN (
                   SELECT scope, key
                     FROM idempotency
                    WHERE create_time < ?1
                    ORDER BY create_time
                    LIMIT ?2
                   )
            ",
        )?
        .execute((micros(before), PURGE_LIMIT.cast_signed()))?;
    Ok(removed as u64)
}

impl Fingerprint {
    /// Hashes `parts` with their lengths, so that no two lists give one text.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(formatter, "Fingerprint({a:02x}{b:02x}{c:02x}{d:02x}…)")
    }
}

/// Text, so that a key from a log can be looked up by hand.
fn key_text(key: Uuid) -> String {
    key.hyphenated().to_string()
}
