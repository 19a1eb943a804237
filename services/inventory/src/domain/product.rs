//! What there is, and how much of it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use trellis_api::{Money, Sku};
use uuid::Uuid;

/// Something that the shop sells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Names it.
    pub sku: Sku,
    /// What it is, in one line.
    pub title: Title,
    /// The price of one unit.
    pub price: Money,
    /// When title or price last changed. It only moves forward.
    pub update_time: OffsetDateTime,
}

/// A product with its stock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockedProduct {
    /// The product.
    pub product: Product,
    /// Units that can be reserved now.
    pub available: i64,
}

/// A product as a search found it.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The product.
    pub product: Product,
    /// How well it fits.
    pub rank: Rank,
}

/// How well a product fits a search: the better, the smaller. It is exact to
/// the bit, because a page of results begins behind it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "u64", into = "u64")]
pub struct Rank(pub f64);

/// One line of 1 to 200 characters, without spaces around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title(Box<str>);

/// A text that is not a title.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one line of 1 to {} characters", Title::LONGEST)]
pub struct ParseTitleError;

/// Units on a shelf, 0 to 1,000,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnHand(i64);

/// A number of units that no shelf holds.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 0 to {}", OnHand::MOST)]
pub struct ParseOnHandError;

/// A product to add or to change.
#[derive(Clone, Debug)]
pub struct Import {
    /// Names it.
    pub sku: Sku,
    /// What it is from now on.
    pub title: Title,
    /// What it costs from now on.
    pub price: Money,
    /// How many there are from now on.
    pub on_hand: OnHand,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upserted {
    /// How many products were new.
    pub created: i64,
    /// How many existed.
    pub updated: i64,
}

/// Units to add to a product, or to take when negative.
#[derive(Clone, Debug)]
pub struct Adjustment {
    /// Names the adjustment, so that it happens once.
    pub request_id: Uuid,
    /// Of which product.
    pub sku: Sku,
    /// How many; not 0, and no more than [`OnHand::MOST`] either way.
    pub delta: i64,
}

/// The units of one product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    /// Units on the shelf, reserved ones included.
    pub on_hand: i64,
    /// Units held for someone.
    pub reserved: i64,
}

/// Why units cannot be added or taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CannotAdjust {
    /// It would take units that are held for someone, or that are not there.
    BelowReserved,
    /// It would leave more than [`OnHand::MOST`].
    AboveMost,
}

impl Stock {
    /// Units that can be reserved now.
    pub fn available(self) -> i64 {
        self.on_hand - self.reserved
    }

    /// The stock after `delta` units were added, or taken when negative.
    pub fn adjusted(self, delta: i64) -> Result<Self, CannotAdjust> {
        let on_hand = self.on_hand.saturating_add(delta);
        if on_hand < self.reserved {
            return Err(CannotAdjust::BelowReserved);
        }
        // Units that came back from customers may already exceed the limit:
        // taking some must stay possible.
        if 0 < delta && OnHand::MOST < on_hand {
            return Err(CannotAdjust::AboveMost);
        }
        Ok(Self { on_hand, ..self })
    }
}

impl Title {
    /// In characters.
    pub const LONGEST: usize = 200;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Title {
    type Err = ParseTitleError;

    fn from_str(text: &str) -> Result<Self, ParseTitleError> {
        let text = text.trim();
        let length = text.chars().take(Self::LONGEST + 1).count();
        if length == 0 || Self::LONGEST < length || text.chars().any(char::is_control) {
            return Err(ParseTitleError);
        }
        Ok(Self(text.into()))
    }
}

impl From<Title> for String {
    fn from(title: Title) -> Self {
        title.0.into()
    }
}

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl OnHand {
    /// The most that a product may have.
    pub const MOST: i64 = 1_000_000_000;

    /// The number of units.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for OnHand {
    type Error = ParseOnHandError;

    fn try_from(units: i64) -> Result<Self, ParseOnHandError> {
        if (0..=Self::MOST).contains(&units) { Ok(Self(units)) } else { Err(ParseOnHandError) }
    }
}

impl From<u64> for Rank {
    fn from(bits: u64) -> Self {
        Self(f64::from_bits(bits))
    }
}

impl From<Rank> for u64 {
    fn from(rank: Rank) -> Self {
        rank.0.to_bits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_one_line_without_spaces_around_it() {
        assert_eq!("  A mug ".parse::<Title>().unwrap().as_str(), "A mug");
        assert!("ä".repeat(200).parse::<Title>().is_ok());
        for text in ["", "   ", "a\nb", "a\0b", &"x".repeat(201)] {
            assert_eq!(text.parse::<Title>(), Err(ParseTitleError), "{text:?}");
        }
    }

    #[test]
    fn held_units_and_absurd_numbers_of_units_stay_out_of_reach() {
        let stock = Stock { on_hand: 10, reserved: 4 };

        assert_eq!(stock.adjusted(-6), Ok(Stock { on_hand: 4, reserved: 4 }));
        assert_eq!(stock.adjusted(-7), Err(CannotAdjust::BelowReserved));
        assert_eq!(stock.adjusted(OnHand::MOST - 9), Err(CannotAdjust::AboveMost));
        assert_eq!(stock.adjusted(i64::MAX), Err(CannotAdjust::AboveMost));
        assert_eq!(stock.adjusted(i64::MIN), Err(CannotAdjust::BelowReserved));
    }

    #[test]
    fn a_rank_survives_a_page_token_to_the_bit() {
        for rank in [Rank(-1.234_567_890_123_456_7e-6), Rank(-0.0), Rank(f64::MIN_POSITIVE)] {
            let text = serde_json::to_string(&rank).unwrap();
            let again: Rank = serde_json::from_str(&text).unwrap();
            assert_eq!(again.0.to_bits(), rank.0.to_bits());
        }
    }
}
