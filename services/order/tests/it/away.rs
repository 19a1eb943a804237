//! What customers get while the catalogue or the payment service is away.

use std::time::Duration;

use tonic::{Code, Request, Response, Status};
use trellis_api::error::{reason, retry_after};
use trellis_api::order::v1 as pb;
use trellis_api::shop::v1::order::State;
use trellis_api::shop::v1::{CartItem, CheckoutItem};

use super::shop::Shop;
use super::world::{Call, Fault};

/// A caller's time, of which a quarter is kept to answer in.
const TIME: Duration = Duration::from_millis(1_200);

async fn set(shop: &Shop, sku: &str, quantity: i32) -> Result<pb::SetCartItemResponse, Status> {
    let user_id = shop.ground.user_id.to_string();
    let request = pb::SetCartItemRequest { user_id, sku: sku.to_owned(), quantity };
    shop.orders.clone().set_cart_item(request).await.map(Response::into_inner)
}

async fn cart(shop: &Shop) -> pb::GetCartResponse {
    shop.orders.clone().get_cart(get(shop)).await.unwrap().into_inner()
}

fn get(shop: &Shop) -> pb::GetCartRequest {
    pb::GetCartRequest { user_id: shop.ground.user_id.to_string() }
}

fn within<T>(time: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(time);
    request
}

/// A shop whose cart has two mugs and a tea.
async fn shop_with_a_cart() -> Shop {
    let shop = Shop::new().await;
    set(&shop, "MUG", 2).await.unwrap();
    set(&shop, "TEA", 1).await.unwrap();
    shop
}

/// A line of which nothing is known but that it is there.
fn bare(sku: &str, quantity: i32) -> CartItem {
    CartItem { sku: sku.to_owned(), quantity, ..CartItem::default() }
}

fn assert_nothing_has_begun(orders: &[trellis_api::shop::v1::Order], shop: &Shop) {
    let world = shop.world().state();
    assert!(orders.is_empty(), "{orders:?}");
    assert!(world.reservations.is_empty());
    assert!(world.payments.is_empty());
}

#[tokio::test]
async fn a_cart_without_its_catalogue_has_lines_and_no_prices() {
    let shop = shop_with_a_cart().await;
    let before = cart(&shop).await;
    assert!(before.degraded.is_empty());
    shop.world().break_down(Call::Products, Fault::Unavailable);

    let shown = cart(&shop).await;

    assert_eq!(shown.degraded, ["prices"]);
    let shown = shown.cart.unwrap();
    assert_eq!(shown.items, [bare("MUG", 2), bare("TEA", 1)]);
    assert_eq!(shown.total, None);
    shop.world().mend();
    assert_eq!(cart(&shop).await, before);
}

#[tokio::test]
async fn a_cart_whose_catalogue_is_silent_comes_inside_the_callers_deadline() {
    let shop = shop_with_a_cart().await;
    let _silent = shop.world().gate(Call::Products);

    let shown = shop.orders.clone().get_cart(within(TIME, get(&shop))).await.unwrap().into_inner();

    assert_eq!(shown.degraded, ["prices"]);
    assert_eq!(shown.cart.unwrap().items.len(), 2);
}

#[tokio::test]
async fn a_catalogue_that_makes_no_sense_is_an_error_and_no_missing_price() {
    let shop = shop_with_a_cart().await;
    shop.world().fail(Call::Products, Fault::Internal);

    let failed = shop.orders.clone().get_cart(get(&shop)).await.unwrap_err();

    assert_eq!(failed.code(), Code::Internal);
}

#[tokio::test]
async fn an_empty_cart_lacks_no_prices() {
    let shop = Shop::new().await;
    shop.world().break_down(Call::Products, Fault::Unavailable);

    let shown = cart(&shop).await;

    assert!(shown.degraded.is_empty());
    assert!(shown.cart.unwrap().items.is_empty());
}

#[tokio::test]
async fn what_is_in_the_cart_is_changed_and_taken_out_without_the_catalogue() {
    let shop = shop_with_a_cart().await;
    shop.world().break_down(Call::Products, Fault::Unavailable);

    let removed = set(&shop, "TEA", 0).await.unwrap();
    let lowered = set(&shop, "MUG", 1).await.unwrap();
    let raised = set(&shop, "MUG", 3).await.unwrap();

    for (changed, quantity) in [(removed, 2), (lowered, 1), (raised, 3)] {
        assert_eq!(changed.degraded, ["prices"]);
        assert_eq!(changed.cart.unwrap().items, [bare("MUG", quantity)]);
    }
    shop.world().mend();
    assert_eq!(cart(&shop).await.cart.unwrap().total.unwrap().minor_units, 3 * 350);
}

#[tokio::test]
async fn a_line_is_changed_inside_the_callers_deadline_though_the_catalogue_is_silent() {
    let shop = shop_with_a_cart().await;
    let user_id = shop.ground.user_id.to_string();
    for quantity in [1, 0] {
        let _silent = shop.world().gate(Call::Products);
        let request =
            pb::SetCartItemRequest { user_id: user_id.clone(), sku: "MUG".to_owned(), quantity };

        let changed = shop.orders.clone().set_cart_item(within(TIME, request)).await.unwrap();

        assert_eq!(changed.into_inner().degraded, ["prices"], "{quantity}");
    }
    assert_eq!(cart(&shop).await.cart.unwrap().items.len(), 1);
}

#[tokio::test]
async fn a_product_that_cannot_be_checked_is_not_put_in() {
    let shop = Shop::new().await;
    set(&shop, "MUG", 2).await.unwrap();
    shop.world().break_down(Call::Products, Fault::Unavailable);

    let refused = set(&shop, "TEA", 1).await.unwrap_err();

    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(reason(&refused).as_deref(), Some("CATALOG_UNAVAILABLE"));
    assert!(retry_after(&refused).is_some());
    assert_eq!(cart(&shop).await.cart.unwrap().items, [bare("MUG", 2)]);
}

#[tokio::test]
async fn a_catalogue_that_goes_away_after_the_check_takes_no_change_with_it() {
    let shop = shop_with_a_cart().await;
    let check = shop.world().gate(Call::Products);
    let go_away = async {
        check.reached().await;
        shop.world().break_down(Call::Products, Fault::Unavailable);
        check.open();
    };

    let (changed, ()) = tokio::join!(set(&shop, "VASE", 1), go_away);

    let changed = changed.unwrap();
    assert_eq!(changed.degraded, ["prices"]);
    assert_eq!(changed.cart.unwrap().items, [bare("MUG", 2), bare("TEA", 1), bare("VASE", 1)]);
}

#[tokio::test]
async fn a_checkout_without_the_catalogue_begins_nothing_and_the_same_request_works_later() {
    let shop = shop_with_a_cart().await;
    let named = shop.purchase("tok_ok");
    let of_the_cart = pb::CheckoutRequest { items: Vec::new(), ..shop.purchase("tok_ok") };
    for request in [&named, &of_the_cart] {
        // Away, then silent.
        shop.world().fail(Call::Products, Fault::Unavailable);
        let away = shop.checkout(request.clone()).await.unwrap_err();
        let _silent = shop.world().gate(Call::Products);
        let checkout = within(TIME, request.clone());
        let silent = shop.orders.clone().checkout(checkout).await.unwrap_err();

        for refused in [away, silent] {
            assert_eq!(refused.code(), Code::Unavailable);
            assert_eq!(reason(&refused).as_deref(), Some("CATALOG_UNAVAILABLE"));
            assert!(retry_after(&refused).is_some());
        }
    }
    assert_nothing_has_begun(&shop.all_orders().await, &shop);
    assert_eq!(cart(&shop).await.cart.unwrap().items.len(), 2, "the cart is as it was");

    for request in [named, of_the_cart] {
        let answer = shop.checkout(request).await.unwrap();
        assert!(!answer.metadata().contains_key("idempotency-replayed"));
        assert_eq!(answer.into_inner().order.unwrap().state(), State::Confirmed);
    }
    assert_eq!(shop.all_orders().await.len(), 2);
    assert!(shop.violations().await.is_empty());
}

#[tokio::test]
async fn a_request_that_could_not_be_priced_leaves_its_id_free() {
    let shop = Shop::new().await;
    let request = shop.purchase("tok_ok");
    shop.world().fail(Call::Products, Fault::Unavailable);
    shop.checkout(request.clone()).await.unwrap_err();

    // Nothing was written, so the id is still free for whatever it names first.
    let items = vec![CheckoutItem { sku: "TEA".to_owned(), quantity: 1 }];
    let other = pb::CheckoutRequest { items, ..request.clone() };
    shop.checkout(other).await.unwrap();

    let reused = shop.checkout(request).await.unwrap_err();
    assert_eq!(reason(&reused).as_deref(), Some("IDEMPOTENCY_KEY_REUSED"));
}

#[tokio::test]
async fn a_payment_that_does_not_answer_leaves_a_pending_order_inside_the_callers_deadline() {
    let shop = Shop::new().await;
    let silent = shop.world().gate(Call::Authorize);
    let request = shop.purchase("tok_ok");

    let answer = shop.orders.clone().checkout(within(TIME, request.clone())).await.unwrap();

    let order = answer.into_inner().order.unwrap();
    assert_eq!(order.state(), State::Pending);
    let again = shop.orders.clone().checkout(within(TIME, request)).await.unwrap();
    assert!(again.metadata().contains_key("idempotency-replayed"));
    assert_eq!(again.into_inner().order.unwrap(), order);
    silent.open();
    assert_eq!(shop.settled(&order.order_id).await.state(), State::Confirmed);
    assert_eq!(shop.world().state().captures, 1);
}
