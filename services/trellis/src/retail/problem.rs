//! Why rows are skipped.

use std::collections::BTreeMap;

use crate::statistics::{Column, Table, grouped};

/// How many line numbers of a kind are kept.
const EXAMPLES: usize = 5;

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Problem {
    Fields,
    Encoding,
    Number,
    Date,
    Code,
    Description,
    Price,
    Adjustment,
    Quantity,
    Unlisted,
    Crowded,
}

/// How many rows were skipped for which reason, and the first of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Problems(BTreeMap<Problem, Rows>);

#[derive(Clone, Debug, Default)]
struct Rows {
    count: u64,
    first: Vec<u64>,
}

impl Problem {
    fn text(self) -> &'static str {
        match self {
            Self::Fields => "malformed: must have 8 fields",
            Self::Encoding => "malformed: not UTF-8",
            Self::Number => "malformed: a number is none",
            Self::Date => "malformed: the date is none",
            Self::Code => "not a product: postage, fees, vouchers",
            Self::Description => "the description is empty or a note",
            Self::Price => "the price is 0, negative or not in whole pence",
            Self::Adjustment => "an adjustment of the books, not a sale",
            Self::Quantity => "the quantity is out of range",
            Self::Unlisted => "the product has no title or no price",
            Self::Crowded => "the invoice has 1,000 lines already",
        }
    }
}

impl Problems {
    pub(super) fn add(&mut self, problem: Problem, line: u64) {
        let rows = self.0.entry(problem).or_default();
        rows.count += 1;
        if rows.first.len() < EXAMPLES {
            rows.first.push(line);
        }
    }

    /// How many rows were skipped for whatever reason.
    pub(crate) fn total(&self) -> u64 {
        self.0.values().map(|rows| rows.count).sum()
    }

    /// How many rows were skipped for one reason.
    #[cfg(test)]
    pub(super) fn count(&self, problem: Problem) -> u64 {
        self.0.get(&problem).map_or(0, |rows| rows.count)
    }

    pub(crate) fn table(&self) -> Table {
        let mut table = Table::new(&[
            Column::Text("skipped rows"),
            Column::Number("count"),
            Column::Text("first lines"),
        ]);
        for (problem, rows) in &self.0 {
            let lines: Vec<String> = rows.first.iter().map(u64::to_string).collect();
            table.row([problem.text().to_owned(), grouped(rows.count), lines.join(", ")]);
        }
        table
    }
}
