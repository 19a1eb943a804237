//! Fills the catalogue.

use anyhow::Context as _;
use trellis_api::inventory::v1 as pb;
use trellis_api::inventory::v1::inventory_service_client::InventoryServiceClient;
use trellis_api::limits::Bounded as _;
use trellis_api::shop::v1::Product;
use trellis_api::{Currency, Money};
use trellis_chassis::transport::Transport;

/// The products of a shop that nobody has filled yet.
const SAMPLE: &str = include_str!("../data/catalogue.csv");

/// Puts the sample products on the shelf of a shop that has none.
pub(crate) async fn fill_if_empty(inventory: Transport) -> anyhow::Result<()> {
    let mut inventory = InventoryServiceClient::new(inventory).bounded();
    let request = pb::ListProductsRequest { page_size: 1, ..Default::default() };
    let page = inventory.list_products(request).await.context("cannot read the catalogue")?;
    if !page.into_inner().products.is_empty() {
        return Ok(());
    }
    let products = sample().context("the sample catalogue is malformed")?;
    let count = products.len();
    let request = pb::UpsertProductsRequest { products };
    inventory.upsert_products(request).await.context("cannot write the sample catalogue")?;
    tracing::info!(products = count, "the catalogue was empty and has samples now");
    Ok(())
}

fn sample() -> anyhow::Result<Vec<pb::ProductImport>> {
    csv::Reader::from_reader(SAMPLE.as_bytes())
        .deserialize()
        .map(|row| {
            let (sku, title, price, on_hand): (String, String, String, i64) = row?;
            let price = parse_price(&price).with_context(|| format!("the price of {sku}"))?;
            let product = Product { sku, title, price: Some(price.into()), update_time: None };
            Ok(pb::ProductImport { product: Some(product), on_hand })
        })
        .collect()
}

/// Reads pounds such as `2.55`, exactly: at most two decimals count.
pub(crate) fn parse_price(text: &str) -> Option<Money> {
    let (pounds, pence) = text.split_once('.').unwrap_or((text, ""));
    let (pence, dust) = pence.split_at_checked(2).unwrap_or((pence, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if pounds.is_empty() || !digits(pounds) || !digits(pence) || dust.bytes().any(|b| b != b'0') {
        return None;
    }
    let pence: i64 = format!("{pence:0<2}").parse().ok()?;
    let minor_units = pounds.parse::<i64>().ok()?.checked_mul(100)?.checked_add(pence)?;
    let currency: Currency = "GBP".parse().ok()?;
    Some(Money::new(currency, minor_units))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_catalogue_is_a_shop_that_one_can_look_around_in() {
        let products = sample().unwrap();

        assert!(60 <= products.len());
        assert!(products.iter().all(|import| 0 < import.on_hand));
    }

    #[test]
    fn a_price_is_read_to_the_penny_or_not_at_all() {
        let minor_units = |text| parse_price(text).map(Money::minor_units);
        assert_eq!(minor_units("2.55"), Some(255));
        assert_eq!(minor_units("2.5"), Some(250));
        assert_eq!(minor_units("12"), Some(1200));
        assert_eq!(minor_units("0.850"), Some(85));
        for text in ["", ".5", "-1", "1.234", "1e3", "1.2.3", "ten", "99999999999999999999"] {
            assert_eq!(minor_units(text), None, "{text}");
        }
    }
}
