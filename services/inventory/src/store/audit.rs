//! What an audit looks for, wherever the records are.

use std::collections::BTreeMap;

use time::Duration;

use crate::domain::{Check, Violation};

pub(super) const NOT_OVERSOLD: &str = "no unit is oversold";
pub(super) const HELD: &str = "reserved units equal held reservations";
pub(super) const IN_TIME: &str = "no reservation outlives its time";
const LEDGER: &str = "the stock ledger sums to the stock";

/// How late the sweeper may be.
pub(super) const GRACE: Duration = Duration::seconds(60);
/// As many violations as a check names: more would not make it any clearer.
pub(super) const MOST_VIOLATIONS: u16 = 100;

/// Units of one product, as they are or as movements sum to them.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Units {
    pub(super) on_hand: i64,
    pub(super) reserved: i64,
}

/// By SKU.
pub(super) type UnitsBySku = BTreeMap<String, Units>;

/// Compares the stock with the sums of so many entries of the ledger.
pub(super) fn ledger(stock: &UnitsBySku, ledger: &UnitsBySku, examined: i64) -> Check {
    Check { invariant: LEDGER, examined, violations: differences(stock, ledger) }
}

fn differences(stock: &UnitsBySku, ledger: &UnitsBySku) -> Vec<Violation> {
    let of = |units: &UnitsBySku, sku| units.get(sku).copied().unwrap_or_default();
    let strays = ledger.keys().filter(|&sku| !stock.contains_key(sku));
    stock
        .keys()
        .chain(strays)
        .map(|sku| (sku, of(stock, sku), of(ledger, sku)))
        .filter(|(_, stock, ledger)| stock != ledger)
        .take(MOST_VIOLATIONS.into())
        .map(|(sku, stock, ledger)| Violation {
            subject: sku.clone(),
            detail: format!(
                "{} on hand and {} reserved, {} and {} by the ledger",
                stock.on_hand, stock.reserved, ledger.on_hand, ledger.reserved
            ),
        })
        .collect()
}
