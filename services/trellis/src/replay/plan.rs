//! What depends on an invoice alone, so that every replay does the same.

use std::fmt;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::cli::Cards;
use crate::retail::Invoice;

/// Names the requests of replays. It was drawn once and must never change.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f6e_7265_7461_494c_8e5d_2b0c_91f4_a37e);

/// How many accounts share the purchases of those whom the shop did not know. It does
/// not depend on the number of lanes, which may differ from replay to replay.
const GUESTS: u64 = 64;

/// Whose purchase it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Account {
    Customer(u32),
    Guest(u64),
}

impl Account {
    pub(super) fn of(invoice: &Invoice) -> Self {
        match invoice.customer {
            Some(id) => Self::Customer(id),
            None => Self::Guest(hash("guest", &invoice.number) % GUESTS),
        }
    }

    /// Which of so many lanes serves the account.
    pub(super) fn lane(self, lanes: usize) -> usize {
        let lane = hash("lane", &self.to_string()) % (lanes.max(1) as u64);
        usize::try_from(lane).expect("a lane is less than a usize")
    }

    pub(super) fn email(self) -> String {
        format!("{self}@retail.example")
    }

    /// It is derived, not secret: these accounts are made up, and whoever replays the
    /// public data set again must be able to sign in to them.
    pub(super) fn password(self) -> String {
        format!("replay of {self}")
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Customer(id) => write!(f, "customer-{id}"),
            Self::Guest(number) => write!(f, "guest-{number}"),
        }
    }
}

/// Names the purchase of an invoice.
pub(super) fn checkout_id(invoice: &str) -> String {
    Uuid::new_v5(&NAMESPACE, invoice.as_bytes()).to_string()
}

/// Names the return of an order. The order is part of it: after a replay with
/// failures the same invoice may find another one.
pub(super) fn cancel_id(invoice: &str, order_id: &str) -> String {
    Uuid::new_v5(&NAMESPACE, format!("{invoice} {order_id}").as_bytes()).to_string()
}

/// How an invoice is paid.
pub(super) fn payment_token(cards: Cards, invoice: &str) -> &'static str {
    match (cards, hash("card", invoice) % 100) {
        (Cards::Mixed, 0) => "tok_declined",
        (Cards::Mixed, 1) => "tok_insufficient_funds",
        (Cards::Mixed, 2) => "tok_unknown_once",
        _ => "tok_ok",
    }
}

/// The same on every machine and for ever; `purpose` keeps choices apart.
fn hash(purpose: &str, text: &str) -> u64 {
    let digest = Sha256::digest(format!("{purpose} {text}"));
    digest.iter().take(8).fold(0, |number, &byte| (number << 8) | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use super::*;
    use crate::retail::Kind;

    fn invoice(number: u32, customer: Option<u32>) -> Invoice {
        Invoice { number: number.to_string(), kind: Kind::Sale, customer, lines: Vec::new() }
    }

    #[test]
    fn a_purchase_has_the_same_name_every_time() {
        assert_eq!(checkout_id("536365"), checkout_id("536365"));
        assert_ne!(checkout_id("536365"), checkout_id("536366"));
        assert_ne!(cancel_id("C1", "order_a"), cancel_id("C1", "order_b"));
    }

    #[test]
    fn three_cards_in_a_hundred_are_trouble() {
        let mut counts = BTreeMap::new();
        for number in 0..10_000 {
            *counts.entry(payment_token(Cards::Mixed, &number.to_string())).or_insert(0) += 1;
        }

        for token in ["tok_declined", "tok_insufficient_funds", "tok_unknown_once"] {
            assert!((60..=140).contains(&counts[token]), "{counts:?}");
        }
        assert_eq!(counts.len(), 4);
    }

    #[test]
    fn good_cards_are_all_good() {
        assert!((0..1_000).all(|n| payment_token(Cards::Good, &n.to_string()) == "tok_ok"));
    }

    #[test]
    fn a_customer_keeps_account_and_lane_and_guests_share_a_few() {
        let customer = Account::of(&invoice(1, Some(17_850)));
        assert_eq!(customer, Account::of(&invoice(2, Some(17_850))));
        assert_eq!(customer.email(), "customer-17850@retail.example");
        assert!(customer.lane(32) < 32 && customer.lane(1) == 0);

        let guests: HashSet<_> = (0..5_000).map(|n| Account::of(&invoice(n, None))).collect();
        assert_eq!(guests.len(), 64);
    }
}
