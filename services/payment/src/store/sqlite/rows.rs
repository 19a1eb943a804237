//! What stands in a column, as a value.

use std::fmt;
use std::str::FromStr;

use rusqlite::types::Type;
use trellis_api::Money;
use trellis_storage::from_micros;

use crate::domain::Payment;
use crate::store::row::Row;

/// What [`payment`] reads, in its order.
pub(super) const COLUMNS: &str = "payment_id, state, currency, minor_units, token, reference, \
                                  decline_code, capture_refusal, create_time, update_time";

pub(super) fn payment(row: &rusqlite::Row<'_>) -> rusqlite::Result<Payment> {
    let id = parse(row, 0)?;
    let row = Row {
        state: row.get(1)?,
        currency: row.get(2)?,
        minor_units: row.get(3)?,
        token: row.get(4)?,
        reference: row.get(5)?,
        decline_code: row.get(6)?,
        capture_refusal: row.get(7)?,
        create_time: from_micros(row.get(8)?),
        update_time: from_micros(row.get(9)?),
    };
    row.payment(id).map_err(|damage| damaged(1, damage))
}

/// Reads a column that was written as text.
pub(super) fn parse<T>(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|error| damaged(column, error))
}

pub(super) fn currency(amount: &Money) -> String {
    amount.currency().to_string()
}

fn damaged<E>(column: usize, error: E) -> rusqlite::Error
where
    E: std::error::Error + fmt::Debug + Send + Sync + 'static,
{
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}
