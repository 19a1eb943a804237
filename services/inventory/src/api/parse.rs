//! Requests, read once: what gets past here is valid, and what does not is
//! refused with the names of all bad fields.

use std::collections::HashSet;

use time::Duration;
use trellis_api::error::{Invalid, Violation, field};
use trellis_api::id::ReservationId;
use trellis_api::inventory::v1 as pb;
use trellis_api::{Money, Quantity, Sku};
use uuid::Uuid;

use crate::domain::{Adjustment, Import, Line, Lines, OnHand, ParseLinesError, Reserve};

/// As many products as one call may name.
const MOST_PRODUCTS: usize = 1_000;
const LONGEST_TTL: Duration = Duration::HOUR;

/// Both values, or all that is wrong with either.
pub(super) fn both<A, B>(
    one: Result<A, Invalid>,
    other: Result<B, Invalid>,
) -> Result<(A, B), Invalid> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(one), Err(other)) => Err([one.violations(), other.violations()].concat().into()),
        (Err(invalid), Ok(_)) | (Ok(_), Err(invalid)) => Err(invalid),
    }
}

pub(super) fn reservation_id(text: &str) -> Result<ReservationId, Invalid> {
    Ok(field("reservation_id", text)?)
}

pub(super) fn skus(texts: &[String]) -> Result<Vec<Sku>, Invalid> {
    few("skus", texts)?;
    each(texts, |index, text| Ok(field(&format!("skus[{index}]"), text)?))
}

pub(super) fn reserve(
    request: &pb::ReserveStockRequest,
    default_ttl: Duration,
) -> Result<Reserve, Invalid> {
    let id = reservation_id(&request.reservation_id);
    let ttl = request.ttl.as_ref().map_or(Ok(default_ttl), ttl);
    let ((reservation_id, ttl), lines) = both(both(id, ttl), lines(&request.lines))?;
    Ok(Reserve { reservation_id, lines, ttl })
}

pub(super) fn adjustment(request: &pb::AdjustStockRequest) -> Result<Adjustment, Invalid> {
    let sku = field("sku", &request.sku).map_err(Into::into);
    let ((sku, delta), request_id) =
        both(both(sku, delta(request.delta)), request_id(&request.request_id))?;
    Ok(Adjustment { request_id, sku, delta })
}

pub(super) fn imports(request: pb::UpsertProductsRequest) -> Result<Vec<Import>, Invalid> {
    few("products", &request.products)?;
    let imports = each(request.products, import)?;
    let mut seen = HashSet::with_capacity(imports.len());
    if let Some(index) = imports.iter().position(|import| !seen.insert(&import.sku)) {
        let name = format!("products[{index}].product.sku");
        return Err(Violation::new(name, "must not repeat an earlier product").into());
    }
    Ok(imports)
}

fn import(index: usize, import: pb::ProductImport) -> Result<Import, Invalid> {
    let name = |rest| format!("products[{index}].{rest}");
    let product = import.product.ok_or_else(|| Violation::new(name("product"), "must be set"))?;
    let on_hand = OnHand::try_from(import.on_hand)
        .map_err(|error| Violation::new(name("on_hand"), error.to_string()).into());
    let sku = field(&name("product.sku"), &product.sku).map_err(Into::into);
    let title = field(&name("product.title"), &product.title).map_err(Into::into);
    let price = price(&name("product.price"), product.price);
    let ((sku, title), (price, on_hand)) = both(both(sku, title), both(price, on_hand))?;
    Ok(Import { sku, title, price, on_hand })
}

fn price(name: &str, price: Option<trellis_api::r#type::v1::Money>) -> Result<Money, Invalid> {
    let price = price.ok_or_else(|| Violation::new(name, "must be set"))?;
    let price = Money::try_from(price).map_err(|error| Violation::new(name, error.to_string()))?;
    if !(1..=Money::MAX_PAYABLE).contains(&price.minor_units()) {
        let description = format!("must be 1 to {}", Money::MAX_PAYABLE);
        return Err(Violation::new(format!("{name}.minor_units"), description).into());
    }
    Ok(price)
}

fn lines(lines: &[pb::ReservationLine]) -> Result<Lines, Invalid> {
    let count = |error: ParseLinesError| Violation::new("lines", error.to_string());
    if Lines::MOST < lines.len() {
        return Err(count(ParseLinesError::Count).into());
    }
    let lines = each(lines, |index, line| {
        let sku = field(&format!("lines[{index}].sku"), &line.sku).map_err(Into::into);
        let quantity = Quantity::try_from(line.quantity).map_err(|error| {
            Violation::new(format!("lines[{index}].quantity"), error.to_string()).into()
        });
        both(sku, quantity).map(|(sku, quantity)| Line { sku, quantity })
    })?;
    Lines::new(lines).map_err(|error| match error {
        ParseLinesError::Count => count(error).into(),
        ParseLinesError::Repeated { index } => {
            Violation::new(format!("lines[{index}].sku"), error.to_string()).into()
        }
    })
}

fn ttl(ttl: &prost_types::Duration) -> Result<Duration, Invalid> {
    let in_range = (0..=3_600).contains(&ttl.seconds) && (0..1_000_000_000).contains(&ttl.nanos);
    // Times are kept to the microsecond.
    let allowed = Duration::MICROSECOND..=LONGEST_TTL;
    in_range
        .then(|| Duration::new(ttl.seconds, ttl.nanos))
        .filter(|ttl| allowed.contains(ttl))
        .ok_or_else(|| Violation::new("ttl", "must be more than 0 s and up to 3600 s").into())
}

fn delta(delta: i64) -> Result<i64, Invalid> {
    if delta == 0 || !(-OnHand::MOST..=OnHand::MOST).contains(&delta) {
        let most = OnHand::MOST;
        return Err(Violation::new("delta", format!("must be -{most} to {most}, not 0")).into());
    }
    Ok(delta)
}

fn request_id(text: &str) -> Result<Uuid, Invalid> {
    let uuid = Uuid::try_parse(text).ok().filter(|uuid| !uuid.is_nil());
    Ok(uuid.ok_or_else(|| Violation::new("request_id", "must be a UUID other than the nil one"))?)
}

fn few<T>(name: &str, entries: &[T]) -> Result<(), Violation> {
    if MOST_PRODUCTS < entries.len() {
        let description = format!("must have no more than {MOST_PRODUCTS} entries");
        return Err(Violation::new(name, description));
    }
    Ok(())
}

/// Parses every entry, or says what is wrong with all of them.
fn each<T, U>(
    entries: impl IntoIterator<Item = T>,
    parse: impl Fn(usize, T) -> Result<U, Invalid>,
) -> Result<Vec<U>, Invalid> {
    let (mut parsed, mut violations) = (Vec::new(), Vec::new());
    for (index, entry) in entries.into_iter().enumerate() {
        match parse(index, entry) {
            Ok(entry) => parsed.push(entry),
            Err(invalid) => violations.extend_from_slice(invalid.violations()),
        }
    }
    if violations.is_empty() { Ok(parsed) } else { Err(violations.into()) }
}
