//! One row, read once.

use csv::ByteRecord;
use time::PrimitiveDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;
use trellis_api::{Money, Sku};

use super::{COLUMNS, Problem};
use crate::catalogue::parse_price;

const DATE: StaticFormatDescription =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");

/// Ten million pounds. What costs more is a slip of the pen.
const HIGHEST_PRICE: i64 = 1_000_000_000;
/// In characters.
const LONGEST_TITLE: usize = 200;

/// A row about a product.
#[derive(Debug)]
pub(super) struct Row<'a> {
    /// Where it stands in the file.
    pub(super) line: u64,
    pub(super) invoice: &'a str,
    pub(super) sku: Sku,
    /// None if the description is empty or a note to the staff.
    pub(super) title: Option<String>,
    pub(super) quantity: i64,
    pub(super) time: PrimitiveDateTime,
    /// None unless it is more than nothing, in whole pence.
    pub(super) price: Option<Money>,
    pub(super) customer: Option<u32>,
}

impl<'a> Row<'a> {
    pub(super) fn parse(record: &'a ByteRecord, line: u64) -> Result<Self, Problem> {
        if record.len() != COLUMNS.len() {
            return Err(Problem::Fields);
        }
        let mut fields = [""; COLUMNS.len()];
        for (field, bytes) in fields.iter_mut().zip(record) {
            *field = std::str::from_utf8(bytes).map_err(|_| Problem::Encoding)?.trim();
        }
        let [invoice, code, description, quantity, time, price, customer, _country] = fields;
        Ok(Self {
            line,
            invoice,
            quantity: quantity.parse().map_err(|_| Problem::Number)?,
            time: PrimitiveDateTime::parse(time, &DATE).map_err(|_| Problem::Date)?,
            price: parse_usable_price(price)?,
            customer: parse_customer(customer)?,
            sku: parse_code(code).ok_or(Problem::Code)?,
            title: usable_title(description),
        })
    }
}

/// Five digits and up to two letters. The same product is written both as `85123A`
/// and as `85123a`.
fn parse_code(text: &str) -> Option<Sku> {
    let (digits, letters) = text.split_at_checked(5)?;
    let is_product = digits.bytes().all(|byte| byte.is_ascii_digit())
        && letters.len() <= 2
        && letters.bytes().all(|byte| byte.is_ascii_alphabetic());
    if is_product { text.to_ascii_uppercase().parse().ok() } else { None }
}

/// The shop writes its titles in capitals, and notes to its staff in small letters.
fn usable_title(text: &str) -> Option<String> {
    let capitals = text.chars().filter(|letter| letter.is_uppercase()).count();
    let small = text.chars().filter(|letter| letter.is_lowercase()).count();
    if capitals <= small || text.contains('?') {
        return None;
    }
    let title = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_short = title.chars().count() <= LONGEST_TITLE;
    (is_short && !title.contains(char::is_control)).then_some(title)
}

fn parse_usable_price(text: &str) -> Result<Option<Money>, Problem> {
    let price = parse_price(text);
    if price.is_none() && text.parse::<f64>().ok().is_none_or(|number| !number.is_finite()) {
        return Err(Problem::Number);
    }
    Ok(price.filter(|price| (1..=HIGHEST_PRICE).contains(&price.minor_units())))
}

/// Spreadsheets write whole numbers as `17850.0` when some cells are empty.
fn parse_customer(text: &str) -> Result<Option<u32>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.strip_suffix(".0").unwrap_or(text);
    digits.parse().map(Some).map_err(|_| Problem::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_code_is_five_digits_and_up_to_two_letters() {
        let code = |text| parse_code(text).map(String::from);
        assert_eq!(code("85123A").as_deref(), Some("85123A"));
        assert_eq!(code("85123a").as_deref(), Some("85123A"));
        assert_eq!(code("15056bl").as_deref(), Some("15056BL"));
        assert_eq!(code("71053").as_deref(), Some("71053"));
        for text in [
            "",
            "POST",
            "D",
            "m",
            "C2",
            "BANK CHARGES",
            "DCGS0003",
            "gift_0001_20",
            "7105",
            "710533",
            "71053ABC",
            "71053-",
            "7105é",
        ] {
            assert_eq!(code(text), None, "{text}");
        }
    }

    #[test]
    fn a_note_is_no_title() {
        assert_eq!(usable_title("SET OF  6 T-LIGHTS").as_deref(), Some("SET OF 6 T-LIGHTS"));
        assert_eq!(usable_title("BAG 500g SWIRLY").as_deref(), Some("BAG 500g SWIRLY"));
        let long = "A".repeat(LONGEST_TITLE + 1);
        for text in ["", "?", "LOST?", "damaged", "Manual", "20713", "A\u{7}BC", &long] {
            assert_eq!(usable_title(text), None, "{text}");
        }
    }

    #[test]
    fn a_customer_may_be_unknown_but_not_strange() {
        assert_eq!(parse_customer(""), Ok(None));
        assert_eq!(parse_customer("17850.0"), Ok(Some(17_850)));
        assert_eq!(parse_customer("17850"), Ok(Some(17_850)));
        for text in ["17850.5", "-1", "someone", ".0"] {
            assert_eq!(parse_customer(text), Err(Problem::Number), "{text}");
        }
    }

    #[test]
    fn a_price_counts_if_it_can_be_paid() {
        let minor_units =
            |text| parse_usable_price(text).map(|price| price.map(Money::minor_units));
        assert_eq!(minor_units("2.55"), Ok(Some(255)));
        for text in ["0", "0.0", "-11062.06", "0.001", "10000000.01"] {
            assert_eq!(minor_units(text), Ok(None), "{text}");
        }
        for text in ["", "cheap", "NaN", "inf"] {
            assert_eq!(minor_units(text), Err(Problem::Number), "{text}");
        }
    }
}
