//! The ledger, which is only ever added to.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::bucket;
use crate::domain::Entry;
use crate::error::Error;

/// Adds an entry with its postings.
pub(super) async fn post(
    tx: &mut PgConnection,
    entry: &Entry,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let accounts: Vec<&str> =
        entry.postings.iter().map(|posting| posting.account.as_str()).collect();
    let currencies: Vec<String> =
        entry.postings.iter().map(|posting| posting.amount.currency().to_string()).collect();
    let minor_units: Vec<i64> =
        entry.postings.iter().map(|posting| posting.amount.minor_units()).collect();
    sqlx::query(
        "
        WITH entry AS (
            INSERT INTO ledger_entries (bucket, payment_id, kind, create_time)
            VALUES ($1, $2, $3, $4)
            RETURNING bucket, payment_id, kind
        )
        INSERT INTO ledger_postings (bucket, payment_id, kind, account, currency, minor_units)
        SELECT bucket, payment_id, kind, account, currency, minor_units
          FROM entry,
               unnest($5::text[], $6::text[], $7::bigint[])
               AS posting (account, currency, minor_units)
        ",
    )
    .bind(bucket(entry.payment))
    .bind(entry.payment.uuid())
    .bind(entry.kind.as_str())
    .bind(now)
    .bind(accounts)
    .bind(currencies)
    .bind(minor_units)
    .execute(tx)
    .await?;
    Ok(())
}
