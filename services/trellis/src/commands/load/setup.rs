//! What callers need before they can begin.

use std::sync::Arc;

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use trellis_api::shop::v1 as pb;
use uuid::Uuid;

use crate::cli::Scenario;
use crate::session::{Credential, Shop, explain, request};

/// More would only make the beginning longer.
const MOST_GOODS: usize = 1_000;
const PAGE: i32 = 100;

/// A password costs the shop some 40 ms of a processor, so callers share accounts.
const MOST_ACCOUNTS: usize = 16;

/// How many calls are made at once.
const AT_ONCE: usize = 8;

/// The SKUs to call for; those to buy are those of which there are plenty.
pub(super) async fn goods(shop: &Shop, scenario: Scenario) -> anyhow::Result<Arc<[String]>> {
    let listed = list(shop).await?;
    anyhow::ensure!(
        !listed.is_empty(),
        "the shop sells nothing: fill its catalogue first with `trellis import`"
    );
    let goods = match scenario {
        Scenario::Product => listed,
        Scenario::Checkout => plentiful(stock(shop, listed).await?),
    };
    anyhow::ensure!(
        !goods.is_empty(),
        "everything is out of stock: put more on the shelf with `trellis import`"
    );
    Ok(goods.into())
}

/// Sessions of new accounts, at least one and at most one for each caller.
pub(super) async fn sign_up(shop: &Shop, callers: usize) -> anyhow::Result<Vec<Credential>> {
    let run = Uuid::new_v4().simple().to_string();
    let accounts = 1..=callers.clamp(1, MOST_ACCOUNTS);
    futures::stream::iter(accounts)
        .map(|number| {
            let email = format!("load-{run}-{number}@load.example");
            let display_name = format!("Load {number}");
            // Nobody signs in to it again.
            let password = Uuid::new_v4().to_string();
            async move {
                let message = pb::SignUpRequest { email, password, display_name };
                let answer = shop.client().sign_up(request(message, None)).await;
                let answer = answer.map_err(|status| explain(&status))?.into_inner();
                Credential::new(&answer.session_token).context("the session token is malformed")
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

async fn list(shop: &Shop) -> anyhow::Result<Vec<String>> {
    let mut skus = Vec::new();
    let mut page_token = String::new();
    loop {
        let message = pb::ListProductsRequest { query: String::new(), page_size: PAGE, page_token };
        let page = shop.client().list_products(request(message, None)).await;
        let page = page.map_err(|status| explain(&status))?.into_inner();
        skus.extend(page.products.into_iter().map(|product| product.sku));
        if page.next_page_token.is_empty() || MOST_GOODS <= skus.len() {
            skus.truncate(MOST_GOODS);
            return Ok(skus);
        }
        page_token = page.next_page_token;
    }
}

/// Each SKU with how many can be bought.
async fn stock(shop: &Shop, skus: Vec<String>) -> anyhow::Result<Vec<(String, i64)>> {
    futures::stream::iter(skus)
        .map(|sku| async move {
            let message = pb::GetProductRequest { sku: sku.clone(), ..Default::default() };
            let page = shop.client().get_product(request(message, None)).await;
            let page = page.map_err(|status| explain(&status))?.into_inner();
            anyhow::Ok((sku, page.available))
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

/// Those that will not be sold out much earlier than the others.
fn plentiful(stock: Vec<(String, i64)>) -> Vec<String> {
    let most = stock.iter().map(|(_, available)| *available).max().unwrap_or_default();
    let enough = |available: i64| 0 < available && most / 2 <= available;
    stock.into_iter().filter(|(_, available)| enough(*available)).map(|(sku, _)| sku).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nearly_sold_out_is_not_bought() {
        let stock = |figures: &[(&str, i64)]| {
            figures.iter().map(|&(sku, available)| (sku.to_owned(), available)).collect()
        };
        assert_eq!(plentiful(stock(&[("A", 1_000), ("B", 600), ("C", 3), ("D", 0)])), ["A", "B"]);
        assert_eq!(plentiful(stock(&[("A", 1)])), ["A"]);
        assert!(plentiful(stock(&[("A", 0)])).is_empty());
    }
}
