//! What is learned about products, row by row.

use std::collections::HashMap;

use time::PrimitiveDateTime;
use trellis_api::{Money, Sku};

use super::row::Row;
use super::{Problem, Product};

/// A product's place among all that were ever named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(usize);

/// All products that were ever named, whether or not they can be sold.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    places: HashMap<Sku, Place>,
    products: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    sku: Sku,
    title: Option<Title>,
    price: Option<(PrimitiveDateTime, Money)>,
}

#[derive(Debug)]
struct Title {
    /// A row without a price can be a note in capitals, such as `DAMAGED`: any row
    /// with a price goes before it, and the latest wins among equals.
    rank: (bool, PrimitiveDateTime),
    text: String,
}

impl Shelf {
    /// Takes what a row says about its product, and what keeps it from saying more.
    pub(super) fn learn(&mut self, row: &Row<'_>) -> (Place, Result<(), Problem>) {
        let place = self.place(&row.sku);
        let known = &mut self.products[place.0];
        if let Some(text) = &row.title {
            let rank = (row.price.is_some(), row.time);
            if known.title.as_ref().is_none_or(|title| title.rank <= rank) {
                known.title = Some(Title { rank, text: text.clone() });
            }
        }
        if let Some(price) = row.price
            && known.price.is_none_or(|(time, _)| time <= row.time)
        {
            known.price = Some((row.time, price));
        }
        let learned = match row {
            Row { price: None, .. } => Err(Problem::Price),
            Row { title: None, .. } => Err(Problem::Description),
            _ => Ok(()),
        };
        (place, learned)
    }

    /// The SKU of a product that has all that it takes to be sold.
    pub(super) fn sellable(&self, place: Place) -> Option<&Sku> {
        let known = &self.products[place.0];
        (known.title.is_some() && known.price.is_some()).then_some(&known.sku)
    }

    /// The products that have all that it takes to be sold, by SKU.
    pub(super) fn products(self) -> Vec<Product> {
        let complete = |known: Known| {
            let (title, (_, price)) = (known.title?.text, known.price?);
            Some(Product { sku: known.sku, title, price })
        };
        let mut products: Vec<Product> = self.products.into_iter().filter_map(complete).collect();
        products.sort_by(|one, other| one.sku.cmp(&other.sku));
        products
    }

    fn place(&mut self, sku: &Sku) -> Place {
        if let Some(&place) = self.places.get(sku) {
            return place;
        }
        let place = Place(self.products.len());
        self.places.insert(sku.clone(), place);
        self.products.push(Known { sku: sku.clone(), title: None, price: None });
        place
    }
}
