//! What a customer does, from the first visit to the last.

use std::process::Command;
use std::time::Duration;

use tonic::Code;
use trellis_api::error;
use trellis_api::shop::v1 as pb;
use trellis_api::shop::v1::order::State;
use trellis_testkit::Nats;

use crate::kit::{Shop, Topology, as_admin, purchase, request_id};

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_buys_over_grpc_from_one_process() {
    a_customer_buys_over_grpc(Topology::OneProcess).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_buys_over_grpc_from_a_fleet() {
    a_customer_buys_over_grpc(Topology::Fleet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_buys_over_grpc_from_two_processes() {
    a_customer_buys_over_grpc(Topology::TwoProcesses).await;
}

async fn a_customer_buys_over_grpc(topology: Topology) {
    let mut shop = Shop::start(topology);
    let mut client = shop.client();
    let request = pb::ListProductsRequest { query: "mug".into(), ..Default::default() };
    let found = client.list_products(request).await.unwrap();
    assert!(found.metadata().contains_key("trace-id"));
    let mug = found.into_inner().products.swap_remove(0);

    let customer = shop.customer().await;
    let request = pb::SetCartItemRequest { sku: mug.sku.clone(), quantity: 2 };
    let cart = client.set_cart_item(customer.sign(request)).await.unwrap().into_inner().cart;
    let price = mug.price.clone().unwrap().minor_units;
    assert_eq!(cart.unwrap().total.unwrap().minor_units, 2 * price);

    let before = available(&shop, &mug.sku).await;
    let purchase = pb::CheckoutRequest { items: Vec::new(), ..purchase("", 1) };
    let order = customer.checkout(purchase).await.unwrap();
    assert_eq!(order.state(), State::Confirmed);
    assert_eq!(order.user_id, customer.user.user_id);
    assert_eq!(order.total.as_ref().unwrap().minor_units, 2 * price);
    assert_eq!(available(&shop, &mug.sku).await, before - 2);
    let cart = client.get_cart(customer.sign(pb::GetCartRequest::default())).await.unwrap();
    assert_eq!(cart.into_inner().cart.unwrap().items, [], "what was bought left the cart");

    let request = pb::WatchOrderRequest { order_id: order.order_id.clone() };
    let mut states = client.watch_order(customer.sign(request)).await.unwrap().into_inner();
    assert_eq!(states.message().await.unwrap().unwrap().order.unwrap(), order);
    assert_eq!(states.message().await.unwrap(), None, "a final state ends the watch");

    let request =
        pb::CancelOrderRequest { order_id: order.order_id.clone(), request_id: request_id() };
    let cancelled = client.cancel_order(customer.sign(request)).await.unwrap().into_inner();
    assert_eq!(cancelled.order.unwrap().state(), State::Refunded);
    assert_eq!(available(&shop, &mug.sku).await, before);

    let listed = client.list_orders(customer.sign(pb::ListOrdersRequest::default())).await.unwrap();
    assert_eq!(listed.into_inner().orders.len(), 1);
    shop.stop();
    shop.assert_audit_is_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_buys_over_json_from_one_process() {
    a_customer_buys_over_json(Topology::OneProcess).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_buys_over_json_from_a_fleet() {
    a_customer_buys_over_json(Topology::Fleet).await;
}

async fn a_customer_buys_over_json(topology: Topology) {
    let shop = Shop::start(topology);
    let mut json = shop.json();
    let account =
        r#"{"email": "ada@example.com", "password": "correct horse", "displayName": "A"}"#;
    let signed_up = json.call("POST", "/v1/users", &[], account).await;
    assert_eq!(signed_up.status, 200, "{}", signed_up.text);
    assert_eq!(signed_up.headers["cache-control"], "private, no-store");
    assert!(signed_up.headers.contains_key("trace-id"));
    json.session_token = Some(signed_up.json()["sessionToken"].as_str().unwrap().into());

    let found = json.get("/v1/products?query=tea&page_size=1").await.json();
    let sku = found["products"][0]["sku"].as_str().unwrap().to_owned();
    let line = format!("/v1/cart/items/{sku}");
    let cart = json.call("PUT", &line, &[], r#"{"quantity": 3}"#).await.json();
    assert_eq!(cart["cart"]["items"][0]["quantity"], 3);
    assert_eq!(json.get("/v1/cart").await.json(), cart);

    let key = request_id();
    let headers = [("idempotency-key", key.as_str())];
    let bought = json.call("POST", "/v1/orders", &headers, r#"{"paymentToken": "tok_ok"}"#).await;
    assert_eq!(bought.status, 200, "{}", bought.text);
    let order = bought.json()["order"].clone();
    assert_eq!(order["state"], "STATE_CONFIRMED");
    let again = json.call("POST", "/v1/orders", &headers, r#"{"paymentToken": "tok_ok"}"#).await;
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(again.text, bought.text);
    let other =
        json.call("POST", "/v1/orders", &headers, r#"{"paymentToken": "tok_declined"}"#).await;
    assert_eq!(other.status, 422, "{}", other.text);

    let path = format!("/v1/orders/{}", order["orderId"].as_str().unwrap());
    assert_eq!(json.get(&path).await.json()["order"], order);
    let watched = json.get(&format!("{path}:watch")).await;
    assert_eq!(watched.headers["content-type"], "application/x-ndjson");
    assert_eq!(watched.json()["order"], order);
    let key = request_id();
    let headers = [("idempotency-key", key.as_str())];
    let refunded = json.call("POST", &format!("{path}:cancel"), &headers, "").await.json();
    assert_eq!(refunded["order"]["state"], "STATE_REFUNDED");

    assert_eq!(json.call("DELETE", "/v1/sessions", &[], "").await.status, 200);
    assert_eq!(json.get("/v1/cart").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_page_can_be_cached_by_anyone_and_asked_for_again_cheaply() {
    let shop = Shop::start(Topology::OneProcess);
    let json = shop.json();
    let found = json.get("/v1/products?page_size=1").await.json();
    let path = format!("/v1/products/{}", found["products"][0]["sku"].as_str().unwrap());

    let page = json.get(&path).await;
    let tag = page.headers["etag"].to_str().unwrap().to_owned();
    let again = json.call("GET", &path, &[("if-none-match", &tag)], "").await;

    let policy = page.headers["cache-control"].to_str().unwrap();
    assert!(policy.starts_with("public, max-age=") && policy.contains("stale-while-revalidate="));
    assert_eq!((again.status, again.text.as_str()), (304, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_page_without_recommendations_names_what_is_missing() {
    let mut shop = Shop::start(Topology::Fleet);
    let request = pb::ListProductsRequest { page_size: 1, ..Default::default() };
    let sku =
        shop.client().list_products(request).await.unwrap().into_inner().products[0].sku.clone();
    let recommendation =
        shop.processes.iter_mut().find(|process| process.roles == ["recommendation"]).unwrap();
    recommendation.kill();

    let request = pb::GetProductRequest { sku: sku.clone(), ..Default::default() };
    let page = shop.client().get_product(request).await.unwrap().into_inner();

    assert_eq!(page.product.unwrap().sku, sku);
    assert_eq!(page.degraded, ["recommendations"]);
    let json = shop.json().get(&format!("/v1/products/{sku}")).await;
    assert_eq!(json.headers["cache-control"], "no-store", "a partial page must not be kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_card_sells_nothing_and_holds_nothing() {
    let mut shop = Shop::start(Topology::OneProcess);
    let customer = shop.customer().await;
    let request = pb::ListProductsRequest { page_size: 1, ..Default::default() };
    let sku =
        shop.client().list_products(request).await.unwrap().into_inner().products[0].sku.clone();
    let before = available(&shop, &sku).await;

    let purchase =
        pb::CheckoutRequest { payment_token: "tok_declined".into(), ..purchase(&sku, 2) };
    let declined = customer.checkout(purchase.clone()).await.unwrap_err();
    let again = customer.checkout(purchase).await.unwrap_err();

    assert_eq!(declined.code(), Code::FailedPrecondition);
    assert_eq!(error::reason(&declined).as_deref(), Some("PAYMENT_DECLINED"));
    assert_eq!((again.code(), again.details()), (declined.code(), declined.details()));
    assert_eq!(available(&shop, &sku).await, before);
    shop.stop();
    shop.assert_audit_is_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_run_the_shop_change_stock_and_are_told_from_others() {
    let shop = Shop::start(Topology::OneProcess);
    let request = pb::ListProductsRequest { page_size: 1, ..Default::default() };
    let sku =
        shop.client().list_products(request).await.unwrap().into_inner().products[0].sku.clone();
    let before = available(&shop, &sku).await;
    let adjust = pb::AdjustStockRequest { sku: sku.clone(), delta: 5, request_id: request_id() };

    let refused = shop.admin().adjust_stock(adjust.clone()).await.unwrap_err();
    let first = shop.admin().adjust_stock(as_admin(adjust.clone())).await.unwrap();
    let again = shop.admin().adjust_stock(as_admin(adjust)).await.unwrap();

    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(first.into_inner(), again.into_inner());
    assert_eq!(available(&shop, &sku).await, before + 5, "a repetition adds nothing");
    let audit = shop.admin().audit(as_admin(pb::AuditRequest {})).await.unwrap().into_inner();
    assert!(audit.checks.iter().all(|check| check.violations.is_empty()), "{:?}", audit.checks);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_bought_together_is_recommended_together_by_one_process() {
    what_is_bought_together_is_recommended_together(Topology::OneProcess).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_bought_together_is_recommended_together_by_two_processes() {
    what_is_bought_together_is_recommended_together(Topology::TwoProcesses).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_bought_together_is_recommended_together_by_a_fleet() {
    what_is_bought_together_is_recommended_together(Topology::Fleet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_bought_together_is_recommended_together_by_a_fleet_with_a_broker() {
    let Some(nats) = Nats::start().await else { return };
    let with_broker = |command: &mut Command| _ = command.env("TRELLIS_NATS", nats.url());
    let shop = Shop::start_with(Topology::Fleet, with_broker);
    learns_what_is_bought_together(&shop).await;
}

async fn what_is_bought_together_is_recommended_together(topology: Topology) {
    learns_what_is_bought_together(&Shop::start(topology)).await;
}

async fn learns_what_is_bought_together(shop: &Shop) {
    let customer = shop.customer().await;
    let request = pb::ListProductsRequest { page_size: 3, ..Default::default() };
    let products = shop.client().list_products(request).await.unwrap().into_inner().products;
    let skus: Vec<String> = products.into_iter().map(|product| product.sku).collect();
    let mut purchase = purchase(&skus[0], 1);
    purchase.items.push(pb::CheckoutItem { sku: skus[2].clone(), quantity: 1 });
    customer.checkout(purchase).await.unwrap();

    // The event is on its way; the answer changes when it has arrived.
    let request = pb::ListRecommendationsRequest { skus: vec![skus[0].clone()], page_size: 1 };
    let found = async {
        loop {
            let answer = shop.client().list_recommendations(request.clone()).await.unwrap();
            if let [first, ..] = answer.into_inner().products.as_slice() {
                return first.sku.clone();
            }
            tokio::task::yield_now().await;
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(30), found).await;

    assert_eq!(found.expect("the event arrives"), skus[2]);
}

async fn available(shop: &Shop, sku: &str) -> i64 {
    let request = pb::GetProductRequest { sku: sku.into(), ..Default::default() };
    shop.client().get_product(request).await.unwrap().into_inner().available
}
