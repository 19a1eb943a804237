//! Invoices, put together row by row.

use std::collections::HashMap;

use trellis_api::Quantity;

use super::row::Row;
use super::shelf::{Place, Shelf};
use super::{Invoice, Kind, Line, Problem, Problems};

/// As many as a checkout may have.
const MOST_LINES: usize = 1_000;

/// All invoices, in order of appearance. The rows of one need not be neighbours.
#[derive(Debug, Default)]
pub(super) struct Invoices {
    places: HashMap<String, usize>,
    drafts: Vec<Draft>,
}

#[derive(Debug)]
struct Draft {
    number: String,
    kind: Kind,
    customer: Option<u32>,
    lines: Vec<DraftLine>,
}

#[derive(Debug)]
struct DraftLine {
    product: Place,
    quantity: Quantity,
    /// Where it stands in the file.
    line: u64,
}

impl Invoices {
    /// Adds a row to its invoice, or says why it cannot be part of one.
    pub(super) fn add(&mut self, row: &Row<'_>, product: Place) -> Result<(), Problem> {
        let kind = kind(row.invoice).ok_or(Problem::Adjustment)?;
        let units = match kind {
            Kind::Sale => row.quantity,
            Kind::Cancellation => row.quantity.saturating_neg(),
        };
        let quantity = quantity(units)?;
        if row.price.is_none() {
            return Err(Problem::Price);
        }
        self.draft(row, kind).add(DraftLine { product, quantity, line: row.line })
    }

    /// The invoices without what is not for sale, and without those that have
    /// nothing else.
    pub(super) fn finish(self, known: &Shelf, problems: &mut Problems) -> Vec<Invoice> {
        let mut invoices = Vec::with_capacity(self.drafts.len());
        for draft in self.drafts {
            let Draft { number, kind, customer, lines } = draft;
            let mut kept = Vec::with_capacity(lines.len());
            for DraftLine { product, quantity, line } in lines {
                match known.sellable(product) {
                    Some(sku) => kept.push(Line { sku: sku.clone(), quantity }),
                    None => problems.add(Problem::Unlisted, line),
                }
            }
            if !kept.is_empty() {
                invoices.push(Invoice { number, kind, customer, lines: kept });
            }
        }
        invoices
    }

    fn draft(&mut self, row: &Row<'_>, kind: Kind) -> &mut Draft {
        if let Some(&place) = self.places.get(row.invoice) {
            return &mut self.drafts[place];
        }
        let place = self.drafts.len();
        let number = row.invoice.to_owned();
        self.places.insert(number.clone(), place);
        self.drafts.push(Draft { number, kind, customer: row.customer, lines: Vec::new() });
        &mut self.drafts[place]
    }
}

impl Draft {
    fn add(&mut self, new: DraftLine) -> Result<(), Problem> {
        if let Some(line) = self.lines.iter_mut().find(|line| line.product == new.product) {
            line.quantity =
                quantity(i64::from(line.quantity.get()) + i64::from(new.quantity.get()))?;
        } else if self.lines.len() < MOST_LINES {
            self.lines.push(new);
        } else {
            return Err(Problem::Crowded);
        }
        Ok(())
    }
}

/// Numbers alone are sales; `C` goes before the number of a cancellation, and `A`
/// before that of an adjustment.
fn kind(number: &str) -> Option<Kind> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match number.strip_prefix(['C', 'c']) {
        Some(rest) if digits(rest) => Some(Kind::Cancellation),
        None if digits(number) => Some(Kind::Sale),
        _ => None,
    }
}

fn quantity(units: i64) -> Result<Quantity, Problem> {
    let units = i32::try_from(units).map_err(|_| Problem::Quantity)?;
    Quantity::try_from(units).map_err(|_| Problem::Quantity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_letter_of_an_invoice_says_which_way_the_goods_went() {
        assert_eq!(kind("536365"), Some(Kind::Sale));
        assert_eq!(kind("C536379"), Some(Kind::Cancellation));
        for number in ["A563185", "C", "", "536-365", "CC1"] {
            assert_eq!(kind(number), None, "{number}");
        }
    }
}
