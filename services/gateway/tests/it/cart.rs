//! Carts, with and without prices.

use http::Method;
use serde_json::json;
use trellis_api::order::v1::GetCartResponse;
use trellis_api::shop::v1 as pb;
use trellis_api::r#type::v1::Money;

use super::shop::{Shop, signed_in};

fn pounds(minor_units: i64) -> Money {
    Money { currency_code: "GBP".to_owned(), minor_units }
}

fn line(sku: &str, quantity: i32, unit_price: Option<Money>) -> pb::CartItem {
    pb::CartItem { sku: sku.to_owned(), quantity, unit_price, title: String::new() }
}

/// A shop whose customer has two mugs and a tea in the cart.
fn shop_with_prices() -> Shop {
    let shop = Shop::new();
    let items = vec![line("MUG", 2, Some(pounds(350))), line("TEA", 1, Some(pounds(1_200)))];
    let cart = pb::Cart { items, total: Some(pounds(1_900)) };
    shop.peers.state().cart = GetCartResponse { cart: Some(cart), degraded: Vec::new() };
    shop
}

fn shop_without_prices() -> Shop {
    let shop = Shop::new();
    let items = vec![line("MUG", 2, None), line("TEA", 1, None)];
    let cart = pb::Cart { items, total: None };
    let degraded = vec!["prices".to_owned()];
    shop.peers.state().cart = GetCartResponse { cart: Some(cart), degraded };
    shop
}

async fn cart(shop: &Shop, sku: &str) -> pb::GetCartResponse {
    let request = pb::GetCartRequest { sku: sku.to_owned() };
    shop.client.clone().get_cart(signed_in(request)).await.unwrap().into_inner()
}

#[tokio::test(start_paused = true)]
async fn one_line_of_a_cart_has_a_total_of_its_own() {
    let shop = shop_with_prices();

    assert_eq!(cart(&shop, "").await.cart.unwrap().total, Some(pounds(1_900)));
    let shown = cart(&shop, "MUG").await;

    assert!(shown.degraded.is_empty());
    let shown = shown.cart.unwrap();
    assert_eq!(shown.items, [line("MUG", 2, Some(pounds(350)))]);
    assert_eq!(shown.total, Some(pounds(700)));
    assert_eq!(cart(&shop, "JAR").await.cart.unwrap(), pb::Cart::default());
}

#[tokio::test(start_paused = true)]
async fn a_cart_without_prices_says_so_and_so_does_each_of_its_lines() {
    let shop = shop_without_prices();

    let whole = cart(&shop, "").await;
    let mugs = cart(&shop, "MUG").await;

    assert_eq!(whole.degraded, ["prices"]);
    assert_eq!(whole.cart.unwrap().items.len(), 2);
    assert_eq!(mugs.degraded, ["prices"]);
    let mugs = mugs.cart.unwrap();
    assert_eq!(mugs.items, [line("MUG", 2, None)]);
    assert_eq!(mugs.total, None);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_set_without_prices_says_so() {
    let shop = shop_without_prices();
    let request = pb::SetCartItemRequest { sku: "MUG".to_owned(), quantity: 2 };

    let changed = shop.client.clone().set_cart_item(signed_in(request)).await.unwrap();

    assert_eq!(changed.into_inner().degraded, ["prices"]);
}

#[tokio::test(start_paused = true)]
async fn a_cart_is_its_customers_alone_with_and_without_prices() {
    for (shop, degraded) in
        [(shop_with_prices(), json!([])), (shop_without_prices(), json!(["prices"]))]
    {
        let read = shop.get("/v1/cart").await;
        let line = shop.get("/v1/cart/items/MUG").await;
        let set = shop.http(Method::PUT, "/v1/cart/items/MUG", &[], r#"{"quantity": 2}"#).await;

        for answer in [read, line, set] {
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(answer.json["degraded"], degraded);
            assert_eq!(answer.headers["cache-control"], "private, no-store");
        }
    }
}
