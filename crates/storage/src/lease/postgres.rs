//! Leases in Postgres.
//!
//! Whoever asks says what time it is, so the clocks of processes that share a lease must
//! agree to within a part of its length. The fence keeps what is wrong with them harmless.

use std::time::Duration;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Fence;
use crate::{Error, Migration};

/// The table this module works on; put it among a service's own migrations.
pub const MIGRATION: Migration =
    Migration { name: "lease_0001", sql: include_str!("postgres.sql") };

/// As [`super::acquire`]. Until the transaction ends, nobody else takes the lease.
pub async fn acquire(
    tx: &mut PgConnection,
    name: &str,
    owner: Uuid,
    ttl: Duration,
    now: OffsetDateTime,
) -> Result<Option<Fence>, Error> {
    let fence = sqlx::query_scalar(
        "
        INSERT INTO leases AS held (name, owner, fence, expire_time)
        VALUES ($1, $2, 1, $3)
        ON CONFLICT (name) DO UPDATE
           SET fence = held.fence + (held.owner IS DISTINCT FROM excluded.owner)::integer,
               owner = excluded.owner,
               expire_time = excluded.expire_time
         WHERE held.owner IS NOT DISTINCT FROM excluded.owner
            OR held.expire_time <= $4
        RETURNING fence
        ",
    )
    .bind(name)
    .bind(owner)
    .bind(now + ttl)
    .bind(now)
    .fetch_optional(tx)
    .await?;
    Ok(fence.map(Fence))
}

/// As [`super::release`].
pub async fn release(tx: &mut PgConnection, name: &str, owner: Uuid) -> Result<(), Error> {
    sqlx::query(
        "
        UPDATE leases
           SET owner = NULL, expire_time = '-infinity'
         WHERE name = $1
           AND owner = $2
        ",
    )
    .bind(name)
    .bind(owner)
    .execute(tx)
    .await?;
    Ok(())
}
