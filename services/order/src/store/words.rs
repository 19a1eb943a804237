//! How the words of the domain are written in columns, in whichever database.

use std::sync::Arc;

use trellis_api::{Currency, Money, Quantity, Sku};

use crate::domain::{Item, Reason, State};
use crate::saga::Kind;

/// A line of `orders.items`; the currency is the order's.
type ItemColumn = (Sku, String, Quantity, i64);

pub(super) fn items(items: &[Item]) -> String {
    let items: Vec<_> = items
        .iter()
        .map(|item| (&item.sku, &item.title, item.quantity, item.unit_price.minor_units()))
        .collect();
    serde_json::to_string(&items).expect("items are plain data")
}

pub(super) fn read_items(text: &str, currency: Currency) -> serde_json::Result<Arc<[Item]>> {
    let items: Vec<ItemColumn> = serde_json::from_str(text)?;
    let item = |(sku, title, quantity, minor_units)| Item {
        sku,
        title,
        quantity,
        unit_price: Money::new(currency, minor_units),
    };
    Ok(items.into_iter().map(item).collect())
}

pub(super) fn state(state: State) -> &'static str {
    match state {
        State::Pending => "pending",
        State::Confirmed => "confirmed",
        State::Cancelled(_) => "cancelled",
        State::Refunded(_) => "refunded",
    }
}

/// The state of these two columns; `None`: there is no such one.
pub(super) fn read_state(word: &str, reason: Option<Reason>) -> Option<State> {
    match (word, reason) {
        ("pending", None) => Some(State::Pending),
        ("confirmed", None) => Some(State::Confirmed),
        ("cancelled", Some(reason)) => Some(State::Cancelled(reason)),
        ("refunded", Some(reason)) => Some(State::Refunded(reason)),
        _ => None,
    }
}

pub(super) fn read_kind(word: &str) -> Option<Kind> {
    [Kind::Checkout, Kind::Refund].into_iter().find(|kind| kind.as_str() == word)
}
