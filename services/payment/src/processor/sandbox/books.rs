//! What the sandbox writes down.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use time::OffsetDateTime;
use trellis_api::Money;
use trellis_api::id::PaymentId;
use trellis_storage::micros;
use uuid::Uuid;

use super::card;
use crate::domain::{Code, Reference};
use crate::processor::{Authorization, Charge, Error, Tally};

/// One authorization and what became of it.
pub(super) struct Account {
    payment: String,
    key: String,
    pub(super) token: String,
    currency: String,
    minor_units: i64,
    decline_code: Option<String>,
    pub(super) captures: u32,
    voided: bool,
}

/// Whether a call repeats an earlier one, by its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    FirstTime,
    Before,
}

const COLUMNS: &str = "payment_id, authorize_key, token, currency, minor_units, decline_code, \
                       captures, void_time IS NOT NULL";

impl Account {
    pub(super) fn authorization(&self) -> Authorization {
        if let Some(code) = &self.decline_code {
            return Authorization::Declined(Code::new(code));
        }
        let reference = format!("{}.{}", self.payment, self.key);
        Authorization::Authorized(Reference::new(reference))
    }

    /// Why this will never be captured.
    pub(super) fn capture_refusal(&self) -> Option<&'static str> {
        if self.decline_code.is_some() {
            Some("authorization_declined")
        } else if self.voided {
            Some("authorization_voided")
        } else {
            card::capture_refusal(&self.token)
        }
    }

    /// Whether it is of this amount: there are no partial captures or refunds.
    pub(super) fn check(&self, amount: Money) -> Result<(), Error> {
        if self.minor_units == amount.minor_units() && self.currency == amount.currency().as_str() {
            Ok(())
        } else {
            Err(Error::Invalid(Code::new("amount_mismatch")))
        }
    }
}

pub(super) fn authorize(
    tx: &Connection,
    key: Uuid,
    charge: &Charge,
    now: OffsetDateTime,
) -> Result<(Account, Seen), Error> {
    let payment = charge.payment.to_string();
    let token = charge.token.expose();
    let inserted = tx
        .prepare_cached(
            "INSERT INTO authorizations (
                payment_id, authorize_key, token, currency, minor_units, decline_code, create_time
             )
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (payment_id, authorize_key) DO NOTHING",
        )?
        .execute(params![
            payment,
            key.to_string(),
            token,
            charge.amount.currency().as_str(),
            charge.amount.minor_units(),
            card::decline_code(token),
            micros(now),
        ])?;
    let account = find_by_key(tx, &payment, &key.to_string())?;
    account.check(charge.amount)?;
    if account.token != token {
        return Err(Error::Invalid(Code::new("idempotency_key_reused")));
    }
    Ok((account, if inserted == 1 { Seen::FirstTime } else { Seen::Before }))
}

pub(super) fn find(db: &Connection, reference: &Reference) -> Result<Account, Error> {
    let unknown = || Error::Invalid(Code::new("no_such_authorization"));
    let (payment, key) = reference.as_str().split_once('.').ok_or_else(unknown)?;
    find_by_key(db, payment, key)
}

fn find_by_key(db: &Connection, payment: &str, key: &str) -> Result<Account, Error> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM authorizations WHERE payment_id = ?1 AND authorize_key = ?2"
    ))?
    .query_row([payment, key], account)
    .optional()?
    .ok_or_else(|| Error::Invalid(Code::new("no_such_authorization")))
}

pub(super) fn latest(db: &Connection, payment: PaymentId) -> Result<Option<Account>, Error> {
    let account = db
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM authorizations WHERE payment_id = ?1
             ORDER BY create_time DESC LIMIT 1"
        ))?
        .query_row([payment.to_string()], account)
        .optional()?;
    Ok(account)
}

pub(super) fn capture(tx: &Connection, account: &Account, key: Uuid) -> Result<Seen, Error> {
    let counted = tx
        .prepare_cached(
            "UPDATE authorizations SET capture_key = ?3, captures = captures + 1
             WHERE payment_id = ?1 AND authorize_key = ?2 AND capture_key IS NOT ?3",
        )?
        .execute(params![account.payment, account.key, key.to_string()])?;
    Ok(if counted == 1 { Seen::FirstTime } else { Seen::Before })
}

pub(super) fn refund(tx: &Connection, account: &Account, key: Uuid) -> Result<(), Error> {
    tx.prepare_cached(
        "UPDATE authorizations SET refund_key = ?3, refunds = refunds + 1
         WHERE payment_id = ?1 AND authorize_key = ?2 AND refund_key IS NOT ?3",
    )?
    .execute(params![account.payment, account.key, key.to_string()])?;
    Ok(())
}

pub(super) fn void(tx: &Connection, account: &Account, now: OffsetDateTime) -> Result<(), Error> {
    tx.prepare_cached(
        "UPDATE authorizations SET void_time = ?3
         WHERE payment_id = ?1 AND authorize_key = ?2 AND void_time IS NULL",
    )?
    .execute(params![account.payment, account.key, micros(now)])?;
    Ok(())
}

/// Counts what was done for these payments, or for all.
pub(super) fn tallies(
    db: &Connection,
    payments: Option<&[PaymentId]>,
) -> Result<Vec<Tally>, Error> {
    let (from, wanted) = match payments {
        Some(payments) => (
            "json_each(?1) JOIN authorizations ON payment_id = value",
            serde_json::json!(payments).to_string(),
        ),
        None => ("authorizations", String::new()),
    };
    let mut statement = db.prepare_cached(&format!(
        "SELECT payment_id, SUM(decline_code IS NULL), SUM(captures), SUM(refunds)
           FROM {from} WHERE ?1 IS NOT NULL GROUP BY payment_id ORDER BY payment_id"
    ))?;
    let tallies = statement.query_map([wanted], |row| {
        let payment = row.get_ref(0)?.as_str()?.parse().map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(
                0,
                rusqlite::types::Type::Text,
                Box::new(error),
            )
        })?;
        let (authorizations, captures, refunds) = (row.get(1)?, row.get(2)?, row.get(3)?);
        Ok(Tally { payment, authorizations, captures, refunds })
    })?;
    Ok(tallies.collect::<Result<_, _>>()?)
}

fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        payment: row.get(0)?,
        key: row.get(1)?,
        token: row.get(2)?,
        currency: row.get(3)?,
        minor_units: row.get(4)?,
        decline_code: row.get(5)?,
        captures: row.get(6)?,
        voided: row.get(7)?,
    })
}
