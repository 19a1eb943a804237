//! What was bought together.

use std::collections::HashSet;

use time::OffsetDateTime;
use trellis_api::Sku;
use trellis_api::id::OrderId;

/// A confirmed order, as far as there is something to learn from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basket {
    pub order_id: OrderId,
    /// 1 to [`Basket::MAX`] different products.
    skus: Vec<Sku>,
    pub create_time: OffsetDateTime,
}

/// A basket out of the store; whose it is does not matter any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnedBasket {
    /// Its place in the store's order, from 1.
    pub sequence: i64,
    pub skus: Vec<Sku>,
    pub create_time: OffsetDateTime,
}

impl Basket {
    /// How many products of an order count.
    ///
    /// Work and neighbours grow with the square of it, and what is bought by
    /// the hundred says little about what goes together.
    pub const MAX: usize = 25;

    /// Takes the first [`Basket::MAX`] different products of an order; none if
    /// the order has none.
    pub fn new(
        order_id: OrderId,
        skus: impl IntoIterator<Item = Sku>,
        create_time: OffsetDateTime,
    ) -> Option<Self> {
        let mut seen = HashSet::new();
        let skus: Vec<Sku> =
            skus.into_iter().filter(|sku| seen.insert(sku.clone())).take(Self::MAX).collect();
        (!skus.is_empty()).then_some(Self { order_id, skus, create_time })
    }

    /// The products, in the order of the order's lines.
    pub fn skus(&self) -> &[Sku] {
        &self.skus
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use trellis_api::id::Bucket;

    use super::*;

    fn basket(skus: &[String]) -> Option<Basket> {
        let time = datetime!(2026-11-22 10:00 UTC);
        let order_id = OrderId::new(time, Bucket::random());
        Basket::new(order_id, skus.iter().map(|sku| sku.parse().unwrap()), time)
    }

    #[test]
    fn a_product_on_two_lines_counts_once() {
        let basket = basket(&["TEA".into(), "MUG".into(), "TEA".into()]).unwrap();

        assert_eq!(basket.skus(), ["TEA".parse().unwrap(), "MUG".parse().unwrap()]);
    }

    #[test]
    fn a_wholesale_order_counts_with_its_first_products_only() {
        let lines: Vec<String> = (0..1_000).map(|number| format!("SKU-{number}")).collect();

        let basket = basket(&lines).unwrap();

        assert_eq!(basket.skus().len(), Basket::MAX);
        assert_eq!(basket.skus()[24].as_str(), "SKU-24");
    }

    #[test]
    fn an_order_of_nothing_is_not_a_basket() {
        assert_eq!(basket(&[]), None);
    }
}
