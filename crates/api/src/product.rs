//! What is sold, and how many.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A stock-keeping unit, such as `MUG-350ML`.
///
/// Upper case is part of the format, not of the display, so that one product
/// cannot be held under two keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sku(Arc<str>);

/// A text that is not a SKU.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 32 of A-Z, 0-9, `-`, `_` and `.`")]
pub struct ParseSkuError;

/// How many units of something are wanted, 1 to 100,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i32", into = "i32")]
pub struct Quantity(i32);

/// A number of units that nobody can want.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {}", Quantity::MAX)]
pub struct ParseQuantityError;

impl Sku {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Sku {
    type Err = ParseSkuError;

    fn from_str(text: &str) -> Result<Self, ParseSkuError> {
        let allowed =
            |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        if text.is_empty() || 32 < text.len() || !text.bytes().all(allowed) {
            return Err(ParseSkuError);
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for Sku {
    type Error = ParseSkuError;

    fn try_from(text: String) -> Result<Self, ParseSkuError> {
        text.parse()
    }
}

impl From<Sku> for String {
    fn from(sku: Sku) -> Self {
        sku.0.as_ref().to_owned()
    }
}

impl AsRef<str> for Sku {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sku {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Quantity {
    /// The most that one line can ask for.
    pub const MAX: i32 = 100_000;

    /// The number.
    pub fn get(self) -> i32 {
        self.0
    }
}

impl TryFrom<i32> for Quantity {
    type Error = ParseQuantityError;

    fn try_from(number: i32) -> Result<Self, ParseQuantityError> {
        if (1..=Self::MAX).contains(&number) { Ok(Self(number)) } else { Err(ParseQuantityError) }
    }
}

impl From<Quantity> for i32 {
    fn from(quantity: Quantity) -> Self {
        quantity.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sku_is_refused_unless_it_is_the_one_way_to_write_it() {
        assert!("MUG-350ML".parse::<Sku>().is_ok());
        assert!("85123A".parse::<Sku>().is_ok());
        for text in ["", "mug", "MUG 1", "ÄPFEL", &"X".repeat(33)] {
            assert_eq!(text.parse::<Sku>(), Err(ParseSkuError), "{text}");
        }
    }

    #[test]
    fn a_quantity_is_at_least_one_and_not_absurd() {
        assert!(Quantity::try_from(1).is_ok());
        assert!(Quantity::try_from(Quantity::MAX).is_ok());
        for number in [0, -1, Quantity::MAX + 1, i32::MIN] {
            assert_eq!(Quantity::try_from(number), Err(ParseQuantityError), "{number}");
        }
    }
}
