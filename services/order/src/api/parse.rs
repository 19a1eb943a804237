//! Reads requests. What comes out of here is valid.

use std::collections::HashSet;
use std::str::FromStr;

use time::OffsetDateTime;
use trellis_api::error::{Invalid, Violation, field};
use trellis_api::id::{OrderId, UserId};
use trellis_api::order::v1 as pb;
use trellis_api::page::{self, PageSize};
use trellis_api::shop::v1::CheckoutItem;
use trellis_api::{Quantity, Sku};
use trellis_storage::idempotency::Fingerprint;
use uuid::Uuid;

use crate::domain::{Line, MAX_LINES, PaymentToken};
use crate::error::Error;
use crate::store::{Cancel, CheckoutRequest};

use super::{Cursor, LIST};

/// How many orders a page has when the caller does not say.
const PAGE_SIZE: u32 = 20;

#[derive(Debug)]
pub(super) struct Checkout {
    pub(super) request: CheckoutRequest,
    pub(super) payment_token: PaymentToken,
    /// What to buy; empty means the cart.
    pub(super) lines: Vec<Line>,
}

#[derive(Debug)]
pub(super) struct CartChange {
    pub(super) user_id: UserId,
    pub(super) sku: Sku,
    /// `None` takes it out.
    pub(super) quantity: Option<Quantity>,
}

pub(super) struct List {
    pub(super) user_id: UserId,
    pub(super) page_size: PageSize,
    pub(super) after: Option<Cursor>,
}

/// Collects what is wrong with a request, so that its caller hears all of it at once.
#[derive(Default)]
struct Violations(Vec<Violation>);

pub(super) fn user_id(text: &str) -> Result<UserId, Error> {
    Ok(field("user_id", text)?)
}

pub(super) fn order(user_id: &str, order_id: &str) -> Result<(UserId, OrderId), Error> {
    let mut violations = Violations::default();
    let user_id = violations.field("user_id", user_id);
    let order_id = violations.field("order_id", order_id);
    violations.none_or(user_id.zip(order_id))
}

pub(super) fn cart_change(request: &pb::SetCartItemRequest) -> Result<CartChange, Error> {
    let mut violations = Violations::default();
    let user_id = violations.field("user_id", &request.user_id);
    let sku = violations.field("sku", &request.sku);
    let quantity = match request.quantity {
        0 => None,
        number => violations.quantity("quantity", number, "0 to"),
    };
    let change = user_id.zip(sku).map(|(user_id, sku)| CartChange { user_id, sku, quantity });
    violations.none_or(change)
}

pub(super) fn checkout(request: &pb::CheckoutRequest) -> Result<Checkout, Error> {
    let mut violations = Violations::default();
    let user_id = violations.field("user_id", &request.user_id);
    let request_id = violations.request_id(&request.request_id);
    let payment_token: Option<PaymentToken> =
        violations.field("payment_token", &request.payment_token);
    let lines = violations.lines(&request.items);

    let checkout = match (user_id, request_id, payment_token) {
        (Some(user_id), Some(request_id), Some(payment_token)) => {
            let fingerprint = fingerprint(&lines, &payment_token);
            let request = CheckoutRequest { user_id, request_id, fingerprint };
            Some(Checkout { request, payment_token, lines })
        }
        _ => None,
    };
    violations.none_or(checkout)
}

pub(super) fn cancel(
    request: &pb::CancelOrderRequest,
    now: OffsetDateTime,
) -> Result<Cancel, Error> {
    let mut violations = Violations::default();
    let user_id = violations.field("user_id", &request.user_id);
    let order_id = violations.field("order_id", &request.order_id);
    let request_id = violations.request_id(&request.request_id);
    let cancel = match (user_id, order_id, request_id) {
        (Some(user_id), Some(order_id), Some(request_id)) => {
            Some(Cancel { user_id, order_id, request_id, lease: None, now })
        }
        _ => None,
    };
    violations.none_or(cancel)
}

pub(super) fn list(request: &pb::ListOrdersRequest) -> Result<List, Error> {
    let user_id = user_id(&request.user_id)?;
    let page_size = PageSize::parse(request.page_size, PAGE_SIZE)?;
    let after = page::decode(LIST, &user_id.to_string(), &request.page_token)?;
    Ok(List { user_id, page_size, after })
}

/// Tells a repetition from another purchase. The token is hashed with the rest
/// and cannot be read from it.
fn fingerprint(lines: &[Line], payment_token: &PaymentToken) -> Fingerprint {
    let quantities: Vec<_> = lines.iter().map(|line| line.quantity.get().to_be_bytes()).collect();
    let mut parts = vec![payment_token.expose().as_bytes()];
    for (line, quantity) in lines.iter().zip(&quantities) {
        parts.extend([line.sku.as_str().as_bytes(), quantity]);
    }
    Fingerprint::of(&parts)
}

impl Violations {
    fn field<T: FromStr<Err: std::fmt::Display>>(&mut self, name: &str, text: &str) -> Option<T> {
        field(name, text).map_err(|violation| self.0.push(violation)).ok()
    }

    fn request_id(&mut self, text: &str) -> Option<Uuid> {
        let id = Uuid::try_parse(text).ok().filter(|id| !id.is_nil());
        if id.is_none() {
            self.0.push(Violation::new("request_id", "must be a UUID that names the request"));
        }
        id
    }

    fn quantity(&mut self, name: &str, number: i32, least: &str) -> Option<Quantity> {
        let quantity = number.try_into().ok();
        if quantity.is_none() {
            self.0.push(Violation::new(name, format!("must be {least} {}", Quantity::MAX)));
        }
        quantity
    }

    fn lines(&mut self, items: &[CheckoutItem]) -> Vec<Line> {
        if MAX_LINES < items.len() {
            self.0.push(Violation::new("items", format!("must be no more than {MAX_LINES}")));
            return Vec::new();
        }
        let mut seen = HashSet::new();
        let mut lines = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let name = format!("items[{index}].sku");
            let sku: Option<Sku> = self.field(&name, &item.sku);
            let quantity =
                self.quantity(&format!("items[{index}].quantity"), item.quantity, "1 to");
            let Some((sku, quantity)) = sku.zip(quantity) else { continue };
            if !seen.insert(sku.clone()) {
                self.0.push(Violation::new(name, "must not be in another line too"));
            }
            lines.push(Line { sku, quantity });
        }
        lines
    }

    /// The value, if nothing is wrong.
    fn none_or<T>(self, value: Option<T>) -> Result<T, Error> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(Invalid::from(self.0).into()),
        }
    }
}
