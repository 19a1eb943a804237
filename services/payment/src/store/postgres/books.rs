//! Adds up payments and ledger, in one snapshot.

use sqlx::{FromRow, PgConnection};
use trellis_api::id::PaymentId;
use trellis_storage::Tx;
use uuid::Uuid;

use super::damaged;
use crate::domain::EntryKind;
use crate::error::Error;
use crate::store::{Books, Sums};

#[derive(FromRow)]
struct Row {
    currency: String,
    authorized: i64,
    pending: i64,
    voided: i64,
    kept: i64,
    captured: i64,
    refunded: i64,
    balance: i64,
}

pub(super) async fn add_up(mut tx: Tx) -> Result<Books, Error> {
    let (payments, entries, captured) = sqlx::query_as(
        "
        SELECT (SELECT count(*) FROM payments),
               (SELECT count(*) FROM ledger_entries),
               (SELECT count(*) FROM payments WHERE state IN ('captured', 'refunded'))
        ",
    )
    .fetch_one(&mut *tx)
    .await?;
    Ok(Books {
        payments,
        entries,
        captured,
        repeated: repeated(&mut tx).await?,
        unbalanced: unbalanced(&mut tx).await?,
        unrecorded: unrecorded(&mut tx).await?,
        sums: sums(&mut tx).await?,
    })
}

/// The key of the table forbids it: this finds an index that is damaged.
async fn repeated(tx: &mut PgConnection) -> Result<Vec<(PaymentId, EntryKind, i64)>, Error> {
    entries(
        tx,
        "
        SELECT payment_id, kind, count(*)
          FROM ledger_entries
         GROUP BY payment_id, kind
        HAVING count(*) > 1
         LIMIT 100
        ",
    )
    .await
}

/// An entry in two currencies balances in neither.
async fn unbalanced(tx: &mut PgConnection) -> Result<Vec<(PaymentId, EntryKind, i64)>, Error> {
    entries(
        tx,
        "
        SELECT payment_id, kind, coalesce(sum(minor_units), 0)::bigint
          FROM ledger_entries
          LEFT JOIN ledger_postings USING (bucket, payment_id, kind)
         GROUP BY payment_id, kind, currency
        HAVING coalesce(sum(minor_units), 0) <> 0 OR count(minor_units) < 2
         LIMIT 100
        ",
    )
    .await
}

async fn entries(
    tx: &mut PgConnection,
    query: &'static str,
) -> Result<Vec<(PaymentId, EntryKind, i64)>, Error> {
    let rows: Vec<(Uuid, String, i64)> = sqlx::query_as(query).fetch_all(tx).await?;
    let entries = rows.into_iter().map(|(payment_id, kind, number)| {
        Ok((PaymentId::from_uuid(payment_id), kind.parse().map_err(damaged)?, number))
    });
    entries.collect()
}

/// A captured payment has a capture of its amount and no refund, a refunded one
/// has both, and any other has neither.
async fn unrecorded(tx: &mut PgConnection) -> Result<Vec<PaymentId>, Error> {
    let payments: Vec<Uuid> = sqlx::query_scalar(
        "
        WITH moved AS (
            SELECT bucket, payment_id, kind,
                   sum(minor_units) AS minor_units, min(currency) AS currency
              FROM ledger_entries
              JOIN ledger_postings USING (bucket, payment_id, kind)
             WHERE minor_units > 0
             GROUP BY bucket, payment_id, kind
        )
        SELECT p.payment_id
          FROM payments p
          LEFT JOIN moved c
            ON (c.bucket, c.payment_id, c.kind) = (p.bucket, p.payment_id, 'capture')
          LEFT JOIN moved r
            ON (r.bucket, r.payment_id, r.kind) = (p.bucket, p.payment_id, 'refund')
         WHERE c.minor_units IS DISTINCT FROM
               CASE WHEN p.state IN ('captured', 'refunded') THEN p.minor_units END
            OR r.minor_units IS DISTINCT FROM
               CASE WHEN p.state = 'refunded' THEN p.minor_units END
            OR c.currency <> p.currency
            OR r.currency <> p.currency
         LIMIT 100
        ",
    )
    .fetch_all(tx)
    .await?;
    Ok(payments.into_iter().map(PaymentId::from_uuid).collect())
}

async fn sums(tx: &mut PgConnection) -> Result<Vec<Sums>, Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "
        WITH paid AS (
            SELECT currency,
                   sum(minor_units) FILTER (WHERE state <> 'declined') AS authorized,
                   sum(minor_units) FILTER (
                       WHERE state IN ('authorizing', 'authorized', 'voiding')
                   ) AS pending,
                   sum(minor_units) FILTER (WHERE state = 'voided') AS voided,
                   sum(minor_units) FILTER (WHERE state = 'captured') AS kept
              FROM payments
             WHERE currency IS NOT NULL
             GROUP BY currency
        ),
        moved AS (
            SELECT currency,
                   sum(minor_units) FILTER (WHERE kind = 'capture' AND minor_units > 0) AS captured,
                   sum(minor_units) FILTER (WHERE kind = 'refund' AND minor_units > 0) AS refunded,
                   sum(minor_units) AS balance
              FROM ledger_entries
              JOIN ledger_postings USING (bucket, payment_id, kind)
             GROUP BY currency
        )
        SELECT currency,
               coalesce(authorized, 0)::bigint AS authorized,
               coalesce(pending, 0)::bigint AS pending,
               coalesce(voided, 0)::bigint AS voided,
               coalesce(kept, 0)::bigint AS kept,
               coalesce(captured, 0)::bigint AS captured,
               coalesce(refunded, 0)::bigint AS refunded,
               coalesce(balance, 0)::bigint AS balance
          FROM paid
          FULL JOIN moved USING (currency)
         ORDER BY currency
        ",
    )
    .fetch_all(tx)
    .await?;
    rows.into_iter().map(Row::sums).collect()
}

impl Row {
    fn sums(self) -> Result<Sums, Error> {
        Ok(Sums {
            currency: self.currency.parse().map_err(damaged)?,
            authorized: self.authorized,
            pending: self.pending,
            voided: self.voided,
            kept: self.kept,
            captured: self.captured,
            refunded: self.refunded,
            balance: self.balance,
        })
    }
}
