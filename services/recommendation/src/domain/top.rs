//! The products most in demand, kept in order while demand grows.
//!
//! Demand only ever grows, or is scaled for all alike, so whoever leaves this
//! list can come back only by growing. Looking at what has just grown therefore
//! keeps the list exact, and nobody ever sorts the whole catalogue.

use std::cmp::Ordering;

use super::product::Product;

/// The first few products by demand; equals stand in the order of their SKUs.
#[derive(Clone, Debug, Default)]
pub(super) struct Top(Vec<u32>);

impl Top {
    /// A page of 100 must be filled although up to 50 of the first are what the
    /// customer has before them already.
    pub(super) const LENGTH: usize = 150;

    /// Ranks all products afresh.
    pub(super) fn of(products: &[Product]) -> Self {
        let mut top = Self::default();
        for id in 0..products.len() {
            top.raise(u32::try_from(id).expect("ids are 32 bits"), products);
        }
        top
    }

    /// Best first.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().copied()
    }

    /// Finds the place of a product whose demand has just grown.
    pub(super) fn raise(&mut self, id: u32, products: &[Product]) {
        let raised = &products[id as usize];
        let above = |&other: &u32| rank(&products[other as usize], raised) == Ordering::Less;
        if let Some(place) = self.0.iter().position(|&known| known == id) {
            let better = self.0[..place].partition_point(above);
            self.0[better..=place].rotate_right(1);
            return;
        }
        let place = self.0.partition_point(above);
        if place < Self::LENGTH {
            self.0.truncate(Self::LENGTH - 1);
            self.0.insert(place, id);
        }
    }
}

/// Puts what is more in demand first.
fn rank(one: &Product, other: &Product) -> Ordering {
    other.demand().total_cmp(&one.demand()).then_with(|| one.sku.cmp(&other.sku))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use trellis_api::Sku;

    use super::*;

    proptest! {
        #[test]
        fn the_list_is_that_of_sorting_everything(
            raises in prop::collection::vec((0_usize..300, 1_u8..4), 0..2_000),
        ) {
            let mut products: Vec<Product> = (0..300)
                .map(|number| Product::new(format!("SKU-{number:03}").parse().unwrap()))
                .collect();
            let mut top = Top::default();

            for (id, growth) in raises {
                products[id].orders += f64::from(growth);
                top.raise(u32::try_from(id).unwrap(), &products);
            }

            let mut expected: Vec<&Product> =
                products.iter().filter(|product| product.orders > 0.0).collect();
            expected.sort_by(|one, other| rank(one, other));
            expected.truncate(Top::LENGTH);
            let ranked: Vec<&Sku> = top.iter().map(|id| &products[id as usize].sku).collect();
            let expected: Vec<&Sku> = expected.into_iter().map(|product| &product.sku).collect();
            prop_assert_eq!(ranked, expected);
        }
    }
}
