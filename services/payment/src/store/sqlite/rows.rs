//! Payments as rows.

use std::fmt;
use std::str::FromStr;

use rusqlite::Row;
use rusqlite::types::Type;
use trellis_api::Money;
use trellis_storage::{from_micros, idempotency::Fingerprint};

use crate::domain::{Code, Intent, Payment, PaymentToken, Reference, State, Trace};

/// What [`payment`] reads, in its order.
pub(super) const COLUMNS: &str = "payment_id, state, currency, minor_units, token, reference, \
                                  decline_code, capture_refusal, create_time, update_time";

/// The columns that depend on the state.
#[derive(Default)]
pub(super) struct StateColumns<'a> {
    pub(super) token: Option<&'a str>,
    pub(super) reference: Option<&'a str>,
    pub(super) decline_code: Option<&'a str>,
    pub(super) capture_refusal: Option<&'a str>,
}

/// A row that the schema's constraints should have refused.
#[derive(Debug, thiserror::Error)]
#[error("a payment in state {0:?} lacks what belongs to it")]
struct Incomplete(String);

pub(super) fn state(state: &State) -> StateColumns<'_> {
    let none = StateColumns::default();
    match state {
        State::Authorizing { token } | State::Voiding { trace: Trace::Token(token) } => {
            StateColumns { token: Some(token.expose()), ..none }
        }
        State::Authorized { reference, capture_refusal } => StateColumns {
            reference: Some(reference.as_str()),
            capture_refusal: capture_refusal.as_ref().map(Code::as_str),
            ..none
        },
        State::Declined { code } => StateColumns { decline_code: Some(code.as_str()), ..none },
        State::Captured { reference }
        | State::Refunded { reference }
        | State::Voiding { trace: Trace::Reference(reference) } => {
            StateColumns { reference: Some(reference.as_str()), ..none }
        }
        State::Voided { reference } => {
            StateColumns { reference: reference.as_ref().map(Reference::as_str), ..none }
        }
    }
}

pub(super) fn payment(row: &Row<'_>) -> rusqlite::Result<Payment> {
    let currency: Option<String> = row.get(2)?;
    let minor_units: Option<i64> = row.get(3)?;
    let amount = match currency.zip(minor_units) {
        Some((currency, minor_units)) => {
            let currency = currency.parse().map_err(|error| damaged(2, error))?;
            Some(Money::new(currency, minor_units))
        }
        None => None,
    };
    Ok(Payment {
        id: parse(row, 0)?,
        amount,
        state: read_state(row)?,
        create_time: from_micros(row.get(8)?),
        update_time: from_micros(row.get(9)?),
    })
}

fn read_state(row: &Row<'_>) -> rusqlite::Result<State> {
    let name: String = row.get(1)?;
    let token = row.get::<_, Option<String>>(4)?.map(|text| text.parse::<PaymentToken>());
    let token = token.transpose().map_err(|error| damaged(4, error))?;
    let reference = row.get::<_, Option<String>>(5)?.map(Reference::new);
    let code = |column| {
        Ok::<_, rusqlite::Error>(row.get::<_, Option<String>>(column)?.map(|text| Code::new(&text)))
    };
    match (name.as_str(), token, reference) {
        ("authorizing", Some(token), _) => Ok(State::Authorizing { token }),
        ("authorized", _, Some(reference)) => {
            Ok(State::Authorized { reference, capture_refusal: code(7)? })
        }
        ("declined", ..) => {
            let code = code(6)?.ok_or_else(|| damaged(6, Incomplete(name)))?;
            Ok(State::Declined { code })
        }
        ("captured", _, Some(reference)) => Ok(State::Captured { reference }),
        ("voiding", _, Some(reference)) => {
            Ok(State::Voiding { trace: Trace::Reference(reference) })
        }
        ("voiding", Some(token), None) => Ok(State::Voiding { trace: Trace::Token(token) }),
        ("voided", _, reference) => Ok(State::Voided { reference }),
        ("refunded", _, Some(reference)) => Ok(State::Refunded { reference }),
        _ => Err(damaged(1, Incomplete(name))),
    }
}

/// Reads a column that was written as text.
pub(super) fn parse<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|error| damaged(column, error))
}

pub(super) fn currency(amount: &Money) -> String {
    amount.currency().to_string()
}

/// Tells a reused id from a repetition, also after the token is erased.
///
/// The id is part of it, so that two payments with one card look unrelated.
pub(super) fn fingerprint(intent: &Intent) -> [u8; 32] {
    let Fingerprint(hash) = Fingerprint::of(&[
        intent.payment.uuid().as_bytes(),
        intent.amount.currency().as_str().as_bytes(),
        &intent.amount.minor_units().to_be_bytes(),
        intent.token.expose().as_bytes(),
    ]);
    hash
}

fn damaged<E>(column: usize, error: E) -> rusqlite::Error
where
    E: std::error::Error + fmt::Debug + Send + Sync + 'static,
{
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}
