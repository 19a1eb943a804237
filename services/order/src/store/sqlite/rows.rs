//! How the words of the domain are written in columns.

use rusqlite::Row;
use rusqlite::types::Type;
use trellis_api::{Currency, Money};
use trellis_storage::from_micros;
use trellis_telemetry::propagation::Remote;
use uuid::Uuid;

use crate::domain::{Cancellation, Order, PaymentToken, Reason, State};
use crate::saga::Saga;
use crate::store::words;

/// The columns of [`order`], of a table `orders`.
pub(super) const ORDER: &str = "orders.order_id, orders.user_id, orders.request_id, orders.items, \
     orders.currency, orders.total_minor, orders.state, orders.reason, orders.create_time, \
     orders.update_time";

/// How many columns [`ORDER`] names.
pub(super) const ORDER_COLUMNS: usize = 10;

/// The columns of [`saga`]: those of its order, then those of a table `sagas`.
pub(super) const SAGA: &str = "sagas.kind, sagas.state, sagas.reason, sagas.detail, \
     sagas.payment_token, sagas.from_cart, sagas.cancel_requested, sagas.attempts, \
     sagas.failures, sagas.fence, sagas.deadline_time, sagas.create_time, sagas.traceparent";

pub(super) fn order(row: &Row<'_>) -> rusqlite::Result<Order> {
    let currency: Currency = parse(row, 4)?;
    Ok(Order {
        order_id: parse(row, 0)?,
        user_id: parse(row, 1)?,
        request_id: parse::<Uuid>(row, 2)?,
        items: words::read_items(&text(row, 3)?, currency).map_err(|error| bad(3, error))?,
        total: Money::new(currency, row.get(5)?),
        state: read_state(row)?,
        create_time: from_micros(row.get(8)?),
        update_time: from_micros(row.get(9)?),
    })
}

pub(super) fn saga(row: &Row<'_>) -> rusqlite::Result<Saga> {
    const FIRST: usize = ORDER_COLUMNS;
    let kind = words::read_kind(&text(row, FIRST)?);
    let reason = parse_some::<Reason>(row, FIRST + 2)?;
    let detail: Option<String> = row.get(FIRST + 3)?;
    Ok(Saga {
        kind: kind.ok_or_else(|| bad(FIRST, "not a known kind"))?,
        order: order(row)?,
        turned_back: reason
            .map(|reason| Cancellation { reason, detail: detail.unwrap_or_default() }),
        payment_token: parse_some::<PaymentToken>(row, FIRST + 4)?,
        from_cart: row.get(FIRST + 5)?,
        cancel_requested: row.get(FIRST + 6)?,
        attempts: row.get(FIRST + 7)?,
        failures: row.get(FIRST + 8)?,
        fence: row.get(FIRST + 9)?,
        trace: row.get::<_, Option<String>>(FIRST + 12)?.as_deref().and_then(Remote::parse),
        deadline_time: from_micros(row.get(FIRST + 10)?),
        create_time: from_micros(row.get(FIRST + 11)?),
    })
}

fn read_state(row: &Row<'_>) -> rusqlite::Result<State> {
    let state = words::read_state(&text(row, 6)?, parse_some(row, 7)?);
    state.ok_or_else(|| bad(6, "not a known state"))
}

pub(super) fn parse<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    text(row, column)?.parse().map_err(|error: T::Err| bad(column, error))
}

fn parse_some<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text: Option<String> = row.get(column)?;
    text.map(|text| text.parse().map_err(|error: T::Err| bad(column, error))).transpose()
}

fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    row.get(column)
}

/// A row says what the code cannot mean.
pub(super) fn bad(
    column: usize,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
}
