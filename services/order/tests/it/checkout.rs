//! Buying: what is answered, and once for each request.

use tonic::{Code, Status};
use trellis_api::error::{metadata, reason};
use trellis_api::inventory::v1::reservation::State as Reserved;
use trellis_api::order::v1 as pb;
use trellis_api::payment::v1::payment::State as Paid;
use trellis_api::shop::v1::CheckoutItem;
use trellis_api::shop::v1::order::State;
use trellis_order::Settings;
use trellis_storage::Faults;

use super::ground::{Ground, counting, untold};
use super::shop::{Shop, until};
use super::world::Call;

fn item(sku: &str, quantity: i32) -> CheckoutItem {
    CheckoutItem { sku: sku.to_owned(), quantity }
}

#[tokio::test]
async fn a_purchase_is_confirmed_paid_and_sold() {
    let shop = Shop::new().await;

    let order = shop.buy("tok_ok").await;

    assert_eq!(order.state(), State::Confirmed);
    assert_eq!(order.total.clone().unwrap().minor_units, 700);
    assert_eq!(order.items[0].title, "A MUG");
    assert_eq!(shop.world().reservation(&order.order_id), Some(Reserved::Committed));
    assert_eq!(shop.world().payment(&order.order_id), Some(Paid::Captured));
    assert_eq!(shop.world().available("MUG"), 998);
    assert_eq!(shop.order(&order.order_id).await, order);
    assert!(shop.violations().await.is_empty());
}

#[tokio::test]
async fn a_happy_checkout_takes_two_writes() {
    let shop = Ground::new().await.open_with(Settings::default(), counting()).await.unwrap();
    // The relay's own writes are over when the first event is delivered.
    shop.buy("tok_ok").await;
    until(async || untold(&*shop.store).await == 0).await;
    let gate = shop.world().gate(Call::Capture);
    let before = shop.faults.commits();

    shop.begin("tok_ok").await;

    gate.reached().await;
    assert_eq!(shop.faults.commits() - before, 1, "the other one is the end");
    gate.open();
}

#[tokio::test]
async fn sold_out_is_an_error_with_a_reason_and_holds_nothing() {
    let shop = Shop::new().await;
    let mut request = shop.purchase("tok_ok");
    request.items = vec![item("MUG", 2), item("TEA", 1_001)];

    let refused = shop.checkout(request.clone()).await.unwrap_err();

    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(reason(&refused).as_deref(), Some("OUT_OF_STOCK"));
    let order_id = metadata(&refused, "order_id").unwrap();
    let order = shop.order(&order_id).await;
    assert_eq!((order.state(), order.reason.as_str()), (State::Cancelled, "OUT_OF_STOCK"));
    assert_eq!(shop.world().available("MUG"), 1_000);
    assert_eq!(shop.world().payment(&order_id), None);
    assert_eq!(shop.ground.heard.heard("order.cancelled").await.subject, order_id);
}

#[tokio::test]
async fn a_declined_card_gives_the_stock_back() {
    let shop = Shop::new().await;

    let refused = shop.checkout(shop.purchase("tok_declined")).await.unwrap_err();

    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(reason(&refused).as_deref(), Some("PAYMENT_DECLINED"));
    assert_eq!(metadata(&refused, "decline_code").as_deref(), Some("generic_decline"));
    let order_id = metadata(&refused, "order_id").unwrap();
    assert_eq!(shop.world().reservation(&order_id), Some(Reserved::Released));
    assert_eq!(shop.world().available("MUG"), 1_000);
    assert!(shop.violations().await.is_empty());
}

#[tokio::test]
async fn stock_that_lapsed_before_the_sale_cancels_and_charges_nothing() {
    let shop = Shop::new().await;
    let gate = shop.world().gate(Call::Commit);
    let lapse = async {
        gate.reached().await;
        shop.world().expire();
        gate.open();
    };

    let (order, ()) = tokio::join!(shop.buy("tok_ok"), lapse);

    assert_eq!((order.state(), order.reason.as_str()), (State::Cancelled, "RESERVATION_EXPIRED"));
    assert_eq!(shop.world().payment(&order.order_id), Some(Paid::Voided));
    assert_eq!(shop.world().available("MUG"), 1_000);
}

#[tokio::test]
async fn money_that_cannot_be_taken_undoes_the_sale() {
    let shop = Shop::new().await;

    let order = shop.buy("tok_uncapturable").await;

    assert_eq!((order.state(), order.reason.as_str()), (State::Cancelled, "CAPTURE_FAILED"));
    assert_eq!(shop.world().reservation(&order.order_id), Some(Reserved::Restocked));
    assert_eq!(shop.world().payment(&order.order_id), Some(Paid::Voided));
    assert_eq!(shop.world().available("MUG"), 1_000);
    assert!(shop.violations().await.is_empty());
}

#[tokio::test]
async fn a_caller_without_time_gets_the_pending_order_and_the_saga_goes_on() {
    let shop = Shop::new().await;
    let gate = shop.world().gate(Call::Authorize);

    let order = shop.begin("tok_ok").await;

    assert_eq!(order.state(), State::Pending);
    gate.open();
    assert_eq!(shop.settled(&order.order_id).await.state(), State::Confirmed);
}

#[tokio::test]
async fn a_caller_who_hangs_up_stops_nothing() {
    let shop = Shop::new().await;
    let gate = shop.world().gate(Call::Authorize);
    {
        let call = shop.checkout(shop.purchase("tok_ok"));
        tokio::select! {
            _ = call => unreachable!("the gate is closed"),
            () = gate.reached() => {}
        }
    }
    gate.open();

    let order_id = shop.all_orders().await[0].order_id.clone();
    assert_eq!(shop.settled(&order_id).await.state(), State::Confirmed);
}

#[tokio::test]
async fn a_shop_at_its_limit_refuses_before_anything_is_begun() {
    let settings = Settings { max_sagas_in_flight: 1, ..Settings::default() };
    let shop = Ground::new().await.open_with(settings, Faults::default()).await.unwrap();
    let gate = shop.world().gate(Call::Authorize);
    let first = shop.begin("tok_ok").await;

    let refused = shop.checkout(shop.purchase("tok_ok")).await.unwrap_err();

    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(reason(&refused).as_deref(), Some("CHECKOUT_OVERLOADED"));
    assert!(trellis_api::error::retry_after(&refused).is_some());
    assert_eq!(shop.all_orders().await.len(), 1);
    gate.open();
    shop.settled(&first.order_id).await;
}

#[tokio::test]
async fn what_cannot_be_priced_is_refused_before_anything_is_begun() {
    let shop = Shop::new().await;
    let cases = [
        (vec![item("VASE", 1), item("MUG", 1)], "MIXED_CURRENCIES"),
        (vec![item("LEAFLET", 1)], "NOTHING_TO_PAY"),
        (vec![], "CART_EMPTY"),
        (vec![item("MUG", 1), item("GONE", 1)], "INVALID_FIELD"),
    ];
    for (items, wanted) in cases {
        let request = pb::CheckoutRequest { items, ..shop.purchase("tok_ok") };
        let refused = shop.checkout(request).await.unwrap_err();
        assert_eq!(reason(&refused).as_deref(), Some(wanted));
    }
    assert!(shop.all_orders().await.is_empty());
}

#[tokio::test]
async fn bad_input_is_refused_by_the_names_of_its_fields() {
    let shop = Shop::new().await;
    let good = shop.purchase("tok_ok");
    let with_items = |items| pb::CheckoutRequest { items, ..good.clone() };
    let cases = [
        (pb::CheckoutRequest { user_id: "nobody".into(), ..good.clone() }, "user_id"),
        (pb::CheckoutRequest { request_id: String::new(), ..good.clone() }, "request_id"),
        (pb::CheckoutRequest { request_id: "once".into(), ..good.clone() }, "request_id"),
        (pb::CheckoutRequest { payment_token: String::new(), ..good.clone() }, "payment_token"),
        (
            pb::CheckoutRequest { payment_token: "4242 4242 4242 4242".into(), ..good.clone() },
            "payment_token",
        ),
        (with_items(vec![item("mug", 1)]), "items[0].sku"),
        (with_items(vec![item("MUG", 0)]), "items[0].quantity"),
        (with_items(vec![item("MUG", 1), item("TEA", -1)]), "items[1].quantity"),
        (with_items(vec![item("MUG", 1), item("MUG", 1)]), "items[1].sku"),
        (with_items((0..1_001).map(|n| item(&format!("SKU-{n}"), 1)).collect()), "items"),
        (with_items(vec![item("GONE", 1)]), "items[0].sku"),
    ];
    for (request, field) in cases {
        let refused = shop.checkout(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{field}");
        assert_eq!(fields(&refused), [field]);
        assert!(!refused.message().contains("4242"));
    }
    assert!(shop.all_orders().await.is_empty());
}

fn fields(status: &Status) -> Vec<String> {
    use tonic_types::StatusExt as _;
    let details = status.get_details_bad_request().unwrap();
    details.field_violations.into_iter().map(|violation| violation.field).collect()
}
