//! What a customer means to buy, and what it costs.

use std::collections::BTreeMap;

use trellis_api::{Money, Quantity, Sku};

use super::Item;

/// The most lines that a cart or an order can have.
pub const MAX_LINES: usize = 1_000;

/// So many units of a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub sku: Sku,
    pub quantity: Quantity,
}

/// What a product is called and costs today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    pub title: String,
    pub price: Money,
}

/// Why lines have no price.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// The line at this index names a product that is not for sale.
    #[error("line {index} names a product that is not for sale")]
    UnknownProduct { index: usize },
    #[error("the products are priced in different currencies")]
    MixedCurrencies,
    #[error("the sum is out of range")]
    OutOfRange,
    /// There are no lines, or they cost nothing: a payment must move something.
    #[error("there is nothing to pay")]
    NothingToPay,
}

/// Prices `lines`, which then are the items of an order with this total.
pub fn price(
    lines: &[Line],
    products: &BTreeMap<Sku, Product>,
) -> Result<(Vec<Item>, Money), PriceError> {
    let mut items = Vec::with_capacity(lines.len());
    let mut total: Option<Money> = None;
    for (index, line) in lines.iter().enumerate() {
        let product = products.get(&line.sku).ok_or(PriceError::UnknownProduct { index })?;
        let sum = total.unwrap_or(Money::zero(product.price.currency()));
        if sum.currency() != product.price.currency() {
            return Err(PriceError::MixedCurrencies);
        }
        let amount = product.price.checked_mul(line.quantity).ok_or(PriceError::OutOfRange)?;
        total = Some(sum.checked_add(amount).ok_or(PriceError::OutOfRange)?);
        items.push(Item {
            sku: line.sku.clone(),
            title: product.title.clone(),
            quantity: line.quantity,
            unit_price: product.price,
        });
    }
    let total = total.filter(|total| 0 < total.minor_units()).ok_or(PriceError::NothingToPay)?;
    if Money::MAX_PAYABLE < total.minor_units() {
        return Err(PriceError::OutOfRange);
    }
    Ok((items, total))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sku(text: &str) -> Sku {
        text.parse().unwrap()
    }

    fn line(text: &str, quantity: i32) -> Line {
        Line { sku: sku(text), quantity: quantity.try_into().unwrap() }
    }

    fn catalogue(products: &[(&str, &str, i64)]) -> BTreeMap<Sku, Product> {
        let product = |&(text, currency, minor_units): &(&str, &str, i64)| {
            let price = Money::new(currency.parse().unwrap(), minor_units);
            (sku(text), Product { title: format!("A {text}"), price })
        };
        products.iter().map(product).collect()
    }

    #[test]
    fn what_cannot_be_priced_says_why() {
        let products =
            catalogue(&[("MUG", "GBP", 350), ("VASE", "EUR", 900), ("GOLD", "GBP", i64::MAX)]);
        let cases = [
            (vec![line("MUG", 1), line("TEA", 1)], PriceError::UnknownProduct { index: 1 }),
            (vec![line("MUG", 1), line("VASE", 1)], PriceError::MixedCurrencies),
            (vec![line("GOLD", 2)], PriceError::OutOfRange),
            (vec![line("GOLD", 1), line("MUG", 1)], PriceError::OutOfRange),
            (vec![line("GOLD", 1)], PriceError::OutOfRange),
            (vec![], PriceError::NothingToPay),
        ];
        for (lines, refused) in cases {
            assert_eq!(price(&lines, &products), Err(refused), "{lines:?}");
        }
    }

    #[test]
    fn a_free_order_has_nothing_to_pay() {
        let products = catalogue(&[("LEAFLET", "GBP", 0)]);

        assert_eq!(price(&[line("LEAFLET", 3)], &products), Err(PriceError::NothingToPay));
    }

    proptest! {
        #[test]
        fn the_total_is_the_sum_of_the_lines(
            lines in prop::collection::vec((1..100_000_i64, 1..1_000_i32), 1..20),
        ) {
            let names: Vec<String> = (0..lines.len()).map(|index| format!("SKU-{index}")).collect();
            let products: Vec<_> =
                names.iter().zip(&lines).map(|(name, line)| (name.as_str(), "GBP", line.0)).collect();
            let wanted: Vec<_> =
                names.iter().zip(&lines).map(|(name, &(_, quantity))| line(name, quantity)).collect();

            let (items, total) = price(&wanted, &catalogue(&products)).unwrap();

            let sum: i64 = lines.iter().map(|&(price, quantity)| price * i64::from(quantity)).sum();
            prop_assert_eq!(total.minor_units(), sum);
            prop_assert_eq!(items.len(), wanted.len());
        }
    }
}
