//! What a small shop might have sold, for where the real data set is not at hand.

use std::fmt::Write as _;

use super::COLUMNS;

const INVOICES: u32 = 600;
const PRODUCTS: u32 = 50;
const CUSTOMERS: u32 = 60;
/// Each invoice with this many before it is taken back in part.
const TAKEN_BACK: u32 = 20;

/// A file in the form of the data set, always the same one. Some products go with others,
/// so that there is something to be learned from it.
pub(super) fn csv() -> String {
    let mut csv = COLUMNS.join(",") + "\n";
    for invoice in 0..INVOICES {
        // Primes make neighbours differ.
        let (customer, lines) = (12_000 + invoice * 37 % CUSTOMERS, 1 + invoice * 13 % 5);
        let (day, hour, minute) = (1 + invoice % 28, 8 + invoice % 10, invoice % 60);
        for line in 0..lines {
            let product = (invoice * 11 + line * 7) % PRODUCTS;
            let quantity = i64::from(1 + (invoice * 5 + line * 3) % 12);
            let mut row = |number: String, quantity: i64| {
                writeln!(
                    csv,
                    "{number},{},MADE UP PRODUCT {product},{quantity},\
                     2010-12-{day:02} {hour:02}:{minute:02}:00,{}.{:02},{customer}.0,United Kingdom",
                    20_000 + product,
                    1 + product % 10,
                    product,
                )
                .expect("a text takes all that is written");
            };
            row((500_000 + invoice).to_string(), quantity);
            if invoice % TAKEN_BACK == 0 {
                row(format!("C{}", 600_000 + invoice), -quantity);
            }
        }
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_used() {
        let retail = super::super::parse(csv().as_bytes()).unwrap();

        assert_eq!(retail.products.len(), 50);
        assert_eq!(retail.invoices.len(), 630, "600 sales, and 30 that are taken back");
        assert_eq!((retail.not_catalogued.total(), retail.not_invoiced.total()), (0, 0));
    }
}
