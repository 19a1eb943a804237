//! How the words of the domain are written in columns.

use std::sync::Arc;

use rusqlite::Row;
use rusqlite::types::Type;
use trellis_api::{Currency, Money, Quantity, Sku};
use trellis_storage::from_micros;
use trellis_telemetry::propagation::Remote;
use uuid::Uuid;

use crate::domain::{Cancellation, Item, Order, PaymentToken, Reason, State};
use crate::saga::{Kind, Saga};

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

/// A line of `orders.items`; the currency is the order's.
type ItemColumn = (Sku, String, Quantity, i64);

pub(super) fn items(items: &[Item]) -> String {
    let items: Vec<_> = items
        .iter()
        .map(|item| (&item.sku, &item.title, item.quantity, item.unit_price.minor_units()))
        .collect();
    serde_json::to_string(&items).expect("items are plain data")
}

pub(super) fn state(state: State) -> &'static str {
    match state {
        State::Pending => "pending",
        State::Confirmed => "confirmed",
        State::Cancelled(_) => "cancelled",
        State::Refunded(_) => "refunded",
    }
}

pub(super) fn order(row: &Row<'_>) -> rusqlite::Result<Order> {
    let currency: Currency = parse(row, 4)?;
    Ok(Order {
        order_id: parse(row, 0)?,
        user_id: parse(row, 1)?,
        request_id: parse::<Uuid>(row, 2)?,
        items: read_items(row, currency)?,
        total: Money::new(currency, row.get(5)?),
        state: read_state(row)?,
        create_time: from_micros(row.get(8)?),
        update_time: from_micros(row.get(9)?),
    })
}

pub(super) fn saga(row: &Row<'_>) -> rusqlite::Result<Saga> {
    const FIRST: usize = ORDER_COLUMNS;
    let kind = match text(row, FIRST)?.as_str() {
        "checkout" => Kind::Checkout,
        "refund" => Kind::Refund,
        _ => return Err(bad(FIRST, "not a known kind")),
    };
    let reason = parse_some::<Reason>(row, FIRST + 2)?;
    let detail: Option<String> = row.get(FIRST + 3)?;
    Ok(Saga {
        kind,
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

fn read_items(row: &Row<'_>, currency: Currency) -> rusqlite::Result<Arc<[Item]>> {
    let items: Vec<ItemColumn> =
        serde_json::from_str(&text(row, 3)?).map_err(|error| bad(3, error))?;
    let item = |(sku, title, quantity, minor_units)| Item {
        sku,
        title,
        quantity,
        unit_price: Money::new(currency, minor_units),
    };
    Ok(items.into_iter().map(item).collect())
}

fn read_state(row: &Row<'_>) -> rusqlite::Result<State> {
    match (text(row, 6)?.as_str(), parse_some(row, 7)?) {
        ("pending", None) => Ok(State::Pending),
        ("confirmed", None) => Ok(State::Confirmed),
        ("cancelled", Some(reason)) => Ok(State::Cancelled(reason)),
        ("refunded", Some(reason)) => Ok(State::Refunded(reason)),
        _ => Err(bad(6, "not a known state")),
    }
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
