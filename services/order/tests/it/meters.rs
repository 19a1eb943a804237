//! What is counted is what happened.

use std::time::Duration;

use trellis_api::order::v1 as pb;
use trellis_api::shop::v1::order::State;
use trellis_chassis::Clock as _;
use uuid::Uuid;

use super::shop::Shop;
use super::world::{Call, Fault};

fn assert_counted(shop: &Shop, series: &[&str]) {
    let text = shop.ground.metrics.text();
    for line in series {
        assert!(text.lines().any(|known| known == *line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn a_sale_and_its_refund_are_counted_with_their_money() {
    let shop = Shop::new().await;
    let order = shop.buy("tok_ok").await;
    assert_counted(
        &shop,
        &[
            "trellis_shop_checkouts_total 1",
            r#"trellis_shop_orders_total{outcome="confirmed"} 1"#,
            r#"trellis_shop_revenue_minor_units_total{currency="GBP"} 700"#,
            r#"trellis_saga_duration_seconds_count{kind="checkout",outcome="confirmed"} 1"#,
            r#"trellis_saga_step_duration_seconds_count{step="reserve",outcome="done"} 1"#,
            r#"trellis_saga_step_duration_seconds_count{step="capture",outcome="done"} 1"#,
        ],
    );

    shop.cancel(&order.order_id, Uuid::new_v4()).await.unwrap();

    assert_counted(
        &shop,
        &[
            r#"trellis_shop_orders_total{outcome="refunded",reason="CANCELLED_BY_CUSTOMER"} 1"#,
            r#"trellis_shop_revenue_minor_units_total{currency="GBP"} 700"#,
            r#"trellis_shop_refunds_minor_units_total{currency="GBP"} 700"#,
        ],
    );
}

#[tokio::test]
async fn a_declined_card_is_an_order_without_revenue() {
    let shop = Shop::new().await;
    shop.checkout(shop.purchase("tok_declined")).await.unwrap_err();
    assert_counted(
        &shop,
        &[
            "trellis_shop_checkouts_total 1",
            r#"trellis_shop_orders_total{outcome="confirmed"} 0"#,
            r#"trellis_shop_orders_total{outcome="cancelled",reason="PAYMENT_DECLINED"} 1"#,
        ],
    );
    assert!(!shop.ground.metrics.text().contains("trellis_shop_revenue"));
}

#[tokio::test]
async fn a_request_that_is_repeated_counts_once() {
    let shop = Shop::new().await;
    let purchase = shop.purchase("tok_ok");
    shop.checkout(purchase.clone()).await.unwrap();
    shop.checkout(purchase).await.unwrap();
    assert_counted(
        &shop,
        &["trellis_shop_checkouts_total 1", r#"trellis_shop_orders_total{outcome="confirmed"} 1"#],
    );
}

#[tokio::test]
async fn a_cart_counts_when_something_is_put_into_an_empty_one() {
    let shop = Shop::new().await;
    let set = async |sku: &str, quantity| {
        let user_id = shop.ground.user_id.to_string();
        let request = pb::SetCartItemRequest { user_id, sku: sku.to_owned(), quantity };
        shop.orders.clone().set_cart_item(request).await.unwrap();
    };
    for (sku, quantity, carts) in
        [("MUG", 0, 0), ("MUG", 1, 1), ("MUG", 2, 1), ("TEA", 1, 1), ("MUG", 0, 1), ("TEA", 0, 1)]
    {
        set(sku, quantity).await;
        assert_counted(&shop, &[&format!("trellis_shop_carts_total {carts}")]);
    }
    set("TEA", 1).await;
    assert_counted(&shop, &["trellis_shop_carts_total 2"]);
}

#[tokio::test]
async fn the_store_knows_how_many_sagas_are_open_and_how_old_the_oldest_is() {
    let shop = Shop::new().await;
    assert_eq!(shop.store.backlog().await.unwrap(), trellis_order::store::Backlog::default());
    shop.world().break_down(Call::Authorize, Fault::Unavailable);
    let began = shop.ground.clock.now();

    let order = shop.begin("tok_ok").await;

    let backlog = shop.store.backlog().await.unwrap();
    assert_eq!((backlog.open, backlog.oldest, backlog.needs_operator), (1, Some(began), 0));

    shop.world().mend();
    shop.advance(Duration::from_secs(1));
    let settled = shop.while_time_passes(shop.settled(&order.order_id)).await;
    assert_eq!(settled.state(), State::Confirmed);
    assert_eq!(shop.store.backlog().await.unwrap().open, 0);
}
