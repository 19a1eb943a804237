//! Reads the public data set *Online Retail* (UCI Machine Learning Repository,
//! Chen 2015): the invoice lines of a real shop, with all their dirt.
//!
//! A row that makes no sense is skipped and counted, never guessed at. What the
//! products and invoices are used for is not here.

mod invoice;
mod made_up;
mod problem;
mod row;
mod shelf;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context as _;
use csv::{ByteRecord, ReaderBuilder};
use trellis_api::{Money, Quantity, Sku};

use invoice::Invoices;
use row::Row;
use shelf::Shelf;

pub(crate) use problem::{Problem, Problems};

const COLUMNS: [&str; 8] = [
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
];

/// What the data set says.
#[derive(Debug)]
pub(crate) struct Retail {
    /// By SKU, each with its latest title and price.
    pub(crate) products: Vec<Product>,
    /// Those that have something of the catalogue in them, in order of appearance.
    pub(crate) invoices: Vec<Invoice>,
    /// How many rows there are, without the headings.
    pub(crate) rows: u64,
    /// Why rows say nothing about a product.
    pub(crate) not_catalogued: Problems,
    /// Why rows are not part of an invoice.
    pub(crate) not_invoiced: Problems,
}

/// A product that was sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Product {
    pub(crate) sku: Sku,
    pub(crate) title: String,
    pub(crate) price: Money,
}

/// What a customer bought at one time, or gave back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invoice {
    pub(crate) number: String,
    pub(crate) kind: Kind,
    /// Nobody in particular when the shop did not note who it was.
    pub(crate) customer: Option<u32>,
    /// At least one, each with a SKU of its own.
    pub(crate) lines: Vec<Line>,
}

/// Which way the goods went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sale,
    Cancellation,
}

/// So much of a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) sku: Sku,
    pub(crate) quantity: Quantity,
}

/// Reads a file, or standard input if it is called `-`; without one, something is made up.
/// Blocks.
pub(crate) fn read(path: Option<&Path>) -> anyhow::Result<Retail> {
    let Some(path) = path else { return parse(made_up::csv().as_bytes()) };
    if path.as_os_str() == "-" {
        return parse(std::io::stdin().lock()).context("standard input cannot be used");
    }
    let file = File::open(path).with_context(|| {
        format!("cannot open {}: give the CSV of \"Online Retail\"", path.display())
    })?;
    parse(file).with_context(|| format!("{} cannot be used", path.display()))
}

fn parse(csv: impl Read) -> anyhow::Result<Retail> {
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(csv);
    check_headings(reader.byte_headers()?)?;

    let mut reading = Reading::default();
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record)? {
        reading.take(&record);
    }
    Ok(reading.finish())
}

fn check_headings(headings: &ByteRecord) -> anyhow::Result<()> {
    for (index, expected) in COLUMNS.into_iter().enumerate() {
        let found = headings.get(index).map(String::from_utf8_lossy).unwrap_or_default();
        anyhow::ensure!(
            found.trim() == expected,
            "this is not \"Online Retail\": column {number} of its first line must be {expected}, \
             not `{found}`; expected are {all}",
            number = index + 1,
            all = COLUMNS.join(","),
        );
    }
    Ok(())
}

#[derive(Default)]
struct Reading {
    rows: u64,
    shelf: Shelf,
    invoices: Invoices,
    not_catalogued: Problems,
    not_invoiced: Problems,
}

impl Reading {
    fn take(&mut self, record: &ByteRecord) {
        self.rows += 1;
        let line = record.position().map_or(0, csv::Position::line);
        let row = match Row::parse(record, line) {
            Ok(row) => row,
            Err(problem) => {
                self.not_catalogued.add(problem, line);
                self.not_invoiced.add(problem, line);
                return;
            }
        };
        let (place, learned) = self.shelf.learn(&row);
        if let Err(problem) = learned {
            self.not_catalogued.add(problem, line);
        }
        if let Err(problem) = self.invoices.add(&row, place) {
            self.not_invoiced.add(problem, line);
        }
    }

    fn finish(mut self) -> Retail {
        let invoices = self.invoices.finish(&self.shelf, &mut self.not_invoiced);
        Retail {
            products: self.shelf.products(),
            invoices,
            rows: self.rows,
            not_catalogued: self.not_catalogued,
            not_invoiced: self.not_invoiced,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retail(rows: &str) -> Retail {
        parse(format!("{}\n{rows}", COLUMNS.join(",")).as_bytes()).unwrap()
    }

    fn lines(invoice: &Invoice) -> Vec<(&str, i32)> {
        invoice.lines.iter().map(|line| (line.sku.as_str(), line.quantity.get())).collect()
    }

    #[test]
    fn a_product_has_its_latest_title_and_price() {
        let retail = retail(
            "1,85123A,OLD NAME,1,2011-01-02 09:00:00,2.55,17850.0,France\n\
             2,85123a,\"NEW, NAME\",1,2011-02-01 09:00:00,2.95,,France\n\
             3,85123A,OLDEST NAME,1,2010-12-01 09:00:00,1.00,17850.0,France\n\
             4,85123A,wrongly coded,1,2011-03-01 09:00:00,0.0,,France\n\
             5,85123A,DAMAGED,-9,2011-03-02 09:00:00,0.0,,France\n",
        );

        assert_eq!(retail.products.len(), 1);
        assert_eq!(retail.products[0].sku.as_str(), "85123A");
        assert_eq!(retail.products[0].title, "NEW, NAME");
        assert_eq!(retail.products[0].price.minor_units(), 295);
        assert_eq!(retail.not_catalogued.count(Problem::Price), 2);
    }

    #[test]
    fn what_is_no_product_is_not_in_the_catalogue() {
        let retail = retail(
            "1,POST,POSTAGE,1,2011-01-02 09:00:00,18.00,17850.0,France\n\
             1,gift_0001_20,GIFT,1,2011-01-02 09:00:00,18.00,,France\n\
             1,85123,?,1,2011-01-02 09:00:00,1.00,,France\n\
             1,85124,damaged goods,1,2011-01-02 09:00:00,1.00,,France\n\
             1,85125,,1,2011-01-02 09:00:00,1.00,,France\n\
             1,85126,NO PRICE,1,2011-01-02 09:00:00,-1.00,,France\n",
        );

        assert_eq!(retail.products, []);
        assert_eq!(retail.invoices, []);
        assert_eq!(retail.not_catalogued.count(Problem::Code), 2);
        assert_eq!(retail.not_catalogued.count(Problem::Description), 3);
        assert_eq!(retail.not_catalogued.count(Problem::Price), 1);
        assert_eq!(retail.not_invoiced.count(Problem::Unlisted), 3);
    }

    #[test]
    fn malformed_rows_are_skipped_and_counted_with_their_lines() {
        let mut csv = format!("{}\n", COLUMNS.join(",")).into_bytes();
        csv.extend_from_slice(
            b"1,85123A,MUG,1,2011-01-02 09:00:00,1.00,17850.0\n\
              1,85123A,MUG,x,2011-01-02 09:00:00,1.00,17850.0,France\n\
              1,85123A,MUG,1,2011-01-02 09:00:00,cheap,17850.0,France\n\
              1,85123A,MUG,1,2011-01-02 09:00:00,1.00,someone,France\n\
              1,85123A,MUG,1,yesterday,1.00,17850.0,France\n\
              1,85123A,M\xdcG,1,2011-01-02 09:00:00,1.00,17850.0,France\n\
              1,85123A,MUG,1,2011-01-02 09:00:00,1.00,17850.0,France\n",
        );

        let retail = parse(csv.as_slice()).unwrap();

        assert_eq!(retail.rows, 7);
        assert_eq!(retail.products.len(), 1);
        assert_eq!(retail.not_catalogued.count(Problem::Fields), 1);
        assert_eq!(retail.not_catalogued.count(Problem::Number), 3);
        assert_eq!(retail.not_catalogued.count(Problem::Date), 1);
        assert_eq!(retail.not_catalogued.count(Problem::Encoding), 1);
        assert!(retail.not_catalogued.table().to_string().contains("3, 4, 5"));
    }

    #[test]
    fn an_invoice_has_one_line_for_each_product() {
        let retail = retail(
            "1,85123A,MUG,2,2011-01-02 09:00:00,1.00,17850.0,France\n\
             2,71053,LAMP,1,2011-01-02 09:10:00,1.00,,France\n\
             1,71053,LAMP,1,2011-01-02 09:00:00,1.00,17850.0,France\n\
             1,85123a,MUG,3,2011-01-02 09:00:00,1.00,17850.0,France\n\
             C3,85123A,MUG,-5,2011-01-03 09:00:00,1.00,17850.0,France\n",
        );

        let [one, two, three] = retail.invoices.as_slice() else { panic!("{:?}", retail.invoices) };
        assert_eq!((one.number.as_str(), one.customer), ("1", Some(17_850)));
        assert_eq!(lines(one), [("85123A", 5), ("71053", 1)]);
        assert_eq!((two.number.as_str(), two.customer), ("2", None));
        assert_eq!((three.kind, lines(three)), (Kind::Cancellation, vec![("85123A", 5)]));
    }

    #[test]
    fn lines_that_nobody_can_buy_are_left_out() {
        let retail = retail(
            "1,85123A,MUG,1,2011-01-02 09:00:00,1.00,17850.0,France\n\
             2,85123A,MUG,-1,2011-01-02 09:00:00,1.00,17850.0,France\n\
             3,85123A,MUG,100001,2011-01-02 09:00:00,1.00,17850.0,France\n\
             4,85123A,MUG,60000,2011-01-02 09:00:00,1.00,17850.0,France\n\
             4,85123A,MUG,60000,2011-01-02 09:00:00,1.00,17850.0,France\n\
             5,85123A,MUG,1,2011-01-02 09:00:00,0,17850.0,France\n\
             C6,85123A,MUG,1,2011-01-02 09:00:00,1.00,17850.0,France\n\
             A7,85123A,MUG,1,2011-01-02 09:00:00,1.00,17850.0,France\n",
        );

        let numbers: Vec<_> = retail.invoices.iter().map(|invoice| &*invoice.number).collect();
        assert_eq!(numbers, ["1", "4"]);
        assert_eq!(lines(&retail.invoices[1]), [("85123A", 60_000)]);
        assert_eq!(retail.not_invoiced.count(Problem::Quantity), 4);
        assert_eq!(retail.not_invoiced.count(Problem::Price), 1);
        assert_eq!(retail.not_invoiced.count(Problem::Adjustment), 1);
    }

    #[test]
    fn a_file_of_something_else_is_refused_with_what_was_expected() {
        let error = parse(&b"sku,title\nA,B\n"[..]).unwrap_err().to_string();

        assert!(error.contains("InvoiceNo") && error.contains("`sku`"), "{error}");
    }
}
