//! Says the words of the domain the protobuf way.

use std::collections::BTreeMap;

use trellis_api::shop::v1 as pb;
use trellis_api::{Money, Sku, timestamp};

use crate::domain::{Item, Line, Order, Product, State};

pub(crate) fn order(order: &Order) -> pb::Order {
    let state = match order.state {
        State::Pending => pb::order::State::Pending,
        State::Confirmed => pb::order::State::Confirmed,
        State::Cancelled(_) => pb::order::State::Cancelled,
        State::Refunded(_) => pb::order::State::Refunded,
    };
    let reason = order.state.reason().map_or("", |reason| reason.as_str());
    pb::Order {
        order_id: order.order_id.to_string(),
        user_id: order.user_id.to_string(),
        items: order.items.iter().map(item).collect(),
        total: Some(order.total.into()),
        state: state.into(),
        reason: reason.to_owned(),
        create_time: Some(timestamp::to_proto(order.create_time)),
        update_time: Some(timestamp::to_proto(order.update_time)),
    }
}

/// The lines that can still be bought, and their sum if it is one: products in
/// several currencies have none.
pub(crate) fn cart(lines: &[Line], products: &BTreeMap<Sku, Product>) -> pb::Cart {
    let mut items = Vec::with_capacity(lines.len());
    let mut amounts = Vec::with_capacity(lines.len());
    for line in lines {
        let Some(product) = products.get(&line.sku) else { continue };
        amounts.push(product.price.checked_mul(line.quantity));
        items.push(pb::CartItem {
            sku: line.sku.to_string(),
            quantity: line.quantity.get(),
            unit_price: Some(product.price.into()),
            title: product.title.clone(),
        });
    }
    let total = amounts.into_iter().reduce(|sum, amount| sum?.checked_add(amount?)).flatten();
    pb::Cart { items, total: total.map(Money::into) }
}

/// The lines alone, when nobody can say what they are and cost.
pub(crate) fn unpriced_cart(lines: &[Line]) -> pb::Cart {
    let item = |line: &Line| pb::CartItem {
        sku: line.sku.to_string(),
        quantity: line.quantity.get(),
        unit_price: None,
        title: String::new(),
    };
    pb::Cart { items: lines.iter().map(item).collect(), total: None }
}

fn item(item: &Item) -> pb::OrderItem {
    pb::OrderItem {
        sku: item.sku.to_string(),
        title: item.title.clone(),
        quantity: item.quantity.get(),
        unit_price: Some(item.unit_price.into()),
    }
}
