//! Exact amounts of money.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Quantity;
use crate::r#type::v1 as pb;

/// An amount in the smallest unit of its currency. There are no fractions and
/// no conversions, so sums are exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    currency: Currency,
    minor_units: i64,
}

/// An ISO 4217 code, such as `GBP`. Only its form is checked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

/// A value that is not money.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("currency_code must be three letters A-Z")]
pub struct ParseMoneyError;

impl Money {
    /// The most that one price, order or payment can be, in the smallest units.
    ///
    /// An amount above it is a mistake, and sums of such amounts stay far from
    /// the end of the range.
    pub const MAX_PAYABLE: i64 = 1_000_000_000_000;

    /// So many of the currency's smallest units.
    pub fn new(currency: Currency, minor_units: i64) -> Self {
        Self { currency, minor_units }
    }

    /// Nothing, in a currency.
    pub fn zero(currency: Currency) -> Self {
        Self::new(currency, 0)
    }

    /// What it is counted in.
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// How many of the currency's smallest units.
    pub fn minor_units(self) -> i64 {
        self.minor_units
    }

    /// The sum, unless the currencies differ or it is out of range.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        if self.currency != other.currency {
            return None;
        }
        Some(Self::new(self.currency, self.minor_units.checked_add(other.minor_units)?))
    }

    /// The price of several, unless it is out of range.
    pub fn checked_mul(self, quantity: Quantity) -> Option<Self> {
        Some(Self::new(self.currency, self.minor_units.checked_mul(quantity.get().into())?))
    }
}

impl Currency {
    /// The three letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a currency is three ASCII letters")
    }
}

impl FromStr for Currency {
    type Err = ParseMoneyError;

    fn from_str(text: &str) -> Result<Self, ParseMoneyError> {
        let letters: [u8; 3] = text.as_bytes().try_into().map_err(|_| ParseMoneyError)?;
        if letters.iter().all(u8::is_ascii_uppercase) {
            Ok(Self(letters))
        } else {
            Err(ParseMoneyError)
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = ParseMoneyError;

    fn try_from(text: String) -> Result<Self, ParseMoneyError> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<pb::Money> for Money {
    type Error = ParseMoneyError;

    fn try_from(money: pb::Money) -> Result<Self, ParseMoneyError> {
        Ok(Self::new(money.currency_code.parse()?, money.minor_units))
    }
}

impl From<Money> for pb::Money {
    fn from(money: Money) -> Self {
        Self { currency_code: money.currency.into(), minor_units: money.minor_units }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pounds(minor_units: i64) -> Money {
        Money::new("GBP".parse().unwrap(), minor_units)
    }

    #[test]
    fn sums_are_exact_or_refused() {
        let quantity = Quantity::try_from(3).unwrap();
        let euros = Money::zero("EUR".parse().unwrap());

        assert_eq!(pounds(1).checked_add(pounds(2)), Some(pounds(3)));
        assert_eq!(pounds(250).checked_mul(quantity), Some(pounds(750)));
        assert_eq!(pounds(1).checked_add(euros), None);
        assert_eq!(pounds(i64::MAX).checked_add(pounds(1)), None);
        assert_eq!(pounds(i64::MAX).checked_mul(quantity), None);
    }

    #[test]
    fn a_currency_is_three_capital_letters() {
        for text in ["", "gbp", "GB", "GBPX", "£££"] {
            assert_eq!(text.parse::<Currency>(), Err(ParseMoneyError), "{text}");
        }
    }
}
