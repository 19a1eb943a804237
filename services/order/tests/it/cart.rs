//! Carts, and buying what is in them.

use std::time::Duration;

use futures::StreamExt as _;
use tonic::{Code, Status};
use trellis_api::error::{metadata, reason};
use trellis_api::order::v1 as pb;
use trellis_api::shop::v1::Cart;
use trellis_api::shop::v1::order::State;

use super::shop::Shop;
use super::world::{Call, Product};

async fn set(shop: &Shop, sku: &str, quantity: i32) -> Result<Cart, Status> {
    let user_id = shop.ground.user_id.to_string();
    let request = pb::SetCartItemRequest { user_id, sku: sku.to_owned(), quantity };
    let response = shop.orders.clone().set_cart_item(request).await?;
    Ok(response.into_inner().cart.unwrap())
}

async fn cart(shop: &Shop) -> Cart {
    let user_id = shop.ground.user_id.to_string();
    let response = shop.orders.clone().get_cart(pb::GetCartRequest { user_id }).await.unwrap();
    response.into_inner().cart.unwrap()
}

fn lines(cart: &Cart) -> Vec<(&str, i32)> {
    cart.items.iter().map(|item| (item.sku.as_str(), item.quantity)).collect()
}

async fn buy_cart(shop: &Shop) -> Result<pb::CheckoutResponse, Status> {
    let request = pb::CheckoutRequest { items: Vec::new(), ..shop.purchase("tok_ok") };
    shop.checkout(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_cart_is_what_was_put_in_at_todays_prices() {
    let shop = Shop::new().await;
    assert_eq!(cart(&shop).await, Cart::default());
    set(&shop, "TEA", 1).await.unwrap();
    set(&shop, "MUG", 2).await.unwrap();
    shop.world().state().products.get_mut("MUG").unwrap().price = 400;

    let changed = set(&shop, "MUG", 3).await.unwrap();

    assert_eq!(lines(&changed), [("MUG", 3), ("TEA", 1)]);
    assert_eq!(changed.total.as_ref().unwrap().minor_units, 3 * 400 + 1_200);
    assert_eq!(cart(&shop).await, changed);
    assert_eq!(lines(&set(&shop, "TEA", 0).await.unwrap()), [("MUG", 3)]);
}

#[tokio::test]
async fn what_is_no_longer_sold_is_not_in_the_cart() {
    let shop = Shop::new().await;
    set(&shop, "MUG", 1).await.unwrap();
    set(&shop, "TEA", 1).await.unwrap();
    shop.world().state().products.remove("TEA");

    assert_eq!(lines(&cart(&shop).await), [("MUG", 1)]);
    let refused = buy_cart(&shop).await.unwrap_err();
    assert_eq!(reason(&refused).as_deref(), Some("CART_STALE"));
    assert_eq!(metadata(&refused, "sku").as_deref(), Some("TEA"));
}

#[tokio::test]
async fn a_line_is_a_product_that_exists_in_a_quantity_that_makes_sense() {
    let shop = Shop::new().await;
    for (sku, quantity) in [("GONE", 1), ("mug", 1), ("MUG", -1), ("MUG", 100_001)] {
        let refused = set(&shop, sku, quantity).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{sku} {quantity}");
        assert_eq!(reason(&refused).as_deref(), Some("INVALID_FIELD"));
    }
    // What is gone can still be taken out.
    set(&shop, "GONE", 0).await.unwrap();
}

#[tokio::test]
async fn a_cart_has_room_for_a_thousand_products() {
    let shop = Shop::new().await;
    let skus: Vec<_> = (0..=1_000).map(|number| format!("SKU-{number:04}")).collect();
    for sku in &skus {
        let product = Product { price: 1, currency: "GBP", available: 1 };
        shop.world().state().products.insert(sku.clone(), product);
    }
    let user_id = shop.ground.user_id;
    let now = trellis_chassis::Clock::now(&shop.ground.clock);
    let fill = skus[..1_000].iter().map(|sku| {
        let quantity = 1.try_into().ok();
        shop.store.set_cart_item(user_id, sku.parse().unwrap(), quantity, now)
    });
    let mut fill = futures::stream::iter(fill).buffer_unordered(8);
    while let Some(filled) = fill.next().await {
        filled.unwrap();
    }

    let refused = set(&shop, &skus[1_000], 1).await.unwrap_err();

    assert_eq!(reason(&refused).as_deref(), Some("CART_FULL"));
    assert_eq!(set(&shop, &skus[0], 2).await.unwrap().items.len(), 1_000);
}

#[tokio::test]
async fn a_sale_empties_the_cart_but_for_what_was_put_in_meanwhile() {
    let shop = Shop::new().await;
    set(&shop, "MUG", 2).await.unwrap();
    set(&shop, "TEA", 1).await.unwrap();
    shop.advance(Duration::from_secs(1));
    let gate = shop.world().gate(Call::Authorize);
    let meanwhile = async {
        gate.reached().await;
        shop.advance(Duration::from_secs(1));
        set(&shop, "TEA", 5).await.unwrap();
        gate.open();
    };

    let (bought, ()) = tokio::join!(buy_cart(&shop), meanwhile);

    let order = bought.unwrap().order.unwrap();
    assert_eq!(order.state(), State::Confirmed);
    assert_eq!(order.total.unwrap().minor_units, 1_900);
    assert_eq!(lines(&cart(&shop).await), [("TEA", 5)]);
}

#[tokio::test]
async fn a_refused_purchase_leaves_the_cart() {
    let shop = Shop::new().await;
    set(&shop, "MUG", 2_000).await.unwrap();

    let refused = buy_cart(&shop).await.unwrap_err();

    assert_eq!(reason(&refused).as_deref(), Some("OUT_OF_STOCK"));
    assert_eq!(lines(&cart(&shop).await), [("MUG", 2_000)]);
}

#[tokio::test]
async fn buying_named_items_leaves_the_cart() {
    let shop = Shop::new().await;
    set(&shop, "MUG", 1).await.unwrap();

    shop.buy("tok_ok").await;

    assert_eq!(lines(&cart(&shop).await), [("MUG", 1)]);
}

#[tokio::test]
async fn a_repeated_cart_purchase_gets_its_answer_though_the_cart_is_empty() {
    let shop = Shop::new().await;
    set(&shop, "MUG", 1).await.unwrap();
    let request = pb::CheckoutRequest { items: Vec::new(), ..shop.purchase("tok_ok") };
    let first = shop.checkout(request.clone()).await.unwrap().into_inner();

    let again = shop.checkout(request).await.unwrap().into_inner();

    assert_eq!(first, again);
    assert!(cart(&shop).await.items.is_empty());
}
