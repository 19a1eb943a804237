//! Says who may do a piece of work, until when, and in which order owners came.
//!
//! A lease that ran out may be taken over while its old owner still believes in
//! it. Therefore each takeover raises the [`Fence`], and every write made under
//! a lease must check that the fence is still its own.

pub mod postgres;

use std::time::Duration;

use rusqlite::{
    Connection, OptionalExtension, ToSql,
    types::{FromSql, FromSqlResult, ToSqlOutput, ValueRef},
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Error, Migration, micros};

/// The table this module works on; put it among a service's own migrations.
pub const MIGRATION: Migration =
    Migration { name: "lease_0001", sql: include_str!("lease/0001.sql") };

/// Grows with each owner of a lease, starting at 1; renewals keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(i64);

/// Takes the lease `name` or renews it; `None` while somebody else holds it.
pub fn acquire(
    tx: &Connection,
    name: &str,
    owner: Uuid,
    ttl: Duration,
    now: OffsetDateTime,
) -> Result<Option<Fence>, Error> {
    let fence = tx
        .prepare_cached(
            "
            INSERT INTO leases AS held (name, owner, fence, expire_time)
            VALUES (?1, ?2, 1, ?3)
            ON CONFLICT (name) DO UPDATE
               SET fence = held.fence + (held.owner IS NOT excluded.owner),
                   owner = excluded.owner,
                   expire_time = excluded.expire_time
             WHERE held.owner IS excluded.owner
                OR held.expire_time <= ?4
            RETURNING fence
            ",
        )?
        .query_row((name, owner.hyphenated().to_string(), micros(now + ttl), micros(now)), |row| {
            row.get(0)
        })
        .optional()?;
    Ok(fence)
}

/// Gives the lease back, so that another owner need not wait for its end.
///
/// Does nothing when `owner` no longer holds it.
pub fn release(tx: &Connection, name: &str, owner: Uuid) -> Result<(), Error> {
    tx.prepare_cached(
        "
        UPDATE leases
           SET owner = NULL, expire_time = 0
         WHERE name = ?1
           AND owner = ?2
        ",
    )?
    .execute((name, owner.hyphenated().to_string()))?;
    Ok(())
}

/// Ends every lease, of whomever.
///
/// Only right where nobody else can hold one: a SQLite file has one process at a
/// time, so what an earlier one held is nobody's, and its successor need not
/// wait. The fences stay, so the earlier owners' writes would still be refused.
pub(crate) fn release_all(connection: &Connection) -> Result<(), Error> {
    connection.execute("UPDATE leases SET owner = NULL, expire_time = 0", ())?;
    Ok(())
}

impl Fence {
    /// A fence that was written down.
    pub fn stored(number: i64) -> Self {
        Self(number)
    }

    pub fn get(self) -> i64 {
        self.0
    }
}

impl ToSql for Fence {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for Fence {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(Self)
    }
}
