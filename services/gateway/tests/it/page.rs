//! Product pages while the inventory is away.

use std::time::Duration;

use http::Method;
use tokio::time::Instant;
use tonic::{Code, Request};
use trellis_api::error::reason;
use trellis_api::shop::v1 as pb;

use super::peers::{Call, Fault};
use super::shop::{Shop, may_be_kept, within};

/// What says that the inventory could not answer.
const AWAY: [Code; 3] = [Code::Unavailable, Code::DeadlineExceeded, Code::ResourceExhausted];

fn all_away(shop: &Shop, fault: &Fault) {
    for sku in ["MUG", "TEA", "JAR"] {
        shop.peers.break_down(Call::Product(sku), fault.clone());
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_inventory_a_page_is_as_it_was_last_read() {
    for code in AWAY {
        let shop = Shop::new();
        let read = shop.page("MUG").await.unwrap().into_inner();
        shop.peers.state().products.get_mut("MUG").unwrap().price = 400;
        shop.peers.break_down(Call::Product("MUG"), Fault::of(code));

        let page = shop.page("MUG").await.unwrap();

        assert!(!may_be_kept(&page));
        let page = page.into_inner();
        assert_eq!(page.degraded, ["inventory"], "{code:?}");
        let degraded = Vec::new();
        assert_eq!(pb::GetProductResponse { degraded, ..page }, read);

        shop.peers.mend();
        let page = shop.page("MUG").await.unwrap().into_inner();
        assert!(page.degraded.is_empty());
        assert_eq!(page.product.unwrap().price.unwrap().minor_units, 400);
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_inventory_is_waited_for_no_longer_than_two_seconds() {
    let shop = Shop::new();
    shop.page("MUG").await.unwrap();
    all_away(&shop, &Fault::Silent);
    let start = Instant::now();

    let page = shop.page("MUG").await.unwrap().into_inner();

    assert_eq!(start.elapsed(), Duration::from_secs(2));
    assert_eq!(page.degraded, ["inventory"]);
}

#[tokio::test(start_paused = true)]
async fn a_remembered_page_comes_inside_the_callers_deadline() {
    let shop = Shop::new();
    shop.page("MUG").await.unwrap();
    all_away(&shop, &Fault::Silent);
    let request =
        Request::new(pb::GetProductRequest { sku: "MUG".to_owned(), ..Default::default() });
    let request = within(Duration::from_millis(400), request);

    let page = shop.client.clone().get_product(request).await.unwrap().into_inner();

    assert_eq!(page.degraded, ["inventory"]);
    let short = [("grpc-timeout", "400m")];
    let page = shop.http(Method::GET, "/v1/products/MUG", &short, "").await;
    assert_eq!(page.json["degraded"][0], "inventory");
}

#[tokio::test(start_paused = true)]
async fn suggestions_are_shown_as_far_as_they_are_remembered() {
    let shop = Shop::new();
    let read = shop.page("MUG").await.unwrap().into_inner();
    all_away(&shop, &Fault::of(Code::Unavailable));

    let page = shop.page("MUG").await.unwrap().into_inner();
    assert_eq!(page.degraded, ["inventory"]);
    assert_eq!(page.recommendations, read.recommendations);

    // Nobody has ever read of a lamp.
    shop.peers.state().suggested.push("LAMP");
    let page = shop.page("MUG").await.unwrap().into_inner();
    assert_eq!(page.degraded, ["inventory", "recommendations"]);
    assert_eq!(page.recommendations, read.recommendations);

    shop.peers.break_down(Call::Recommend, Fault::of(Code::Unavailable));
    let page = shop.page("MUG").await.unwrap().into_inner();
    assert_eq!(page.degraded, ["inventory", "recommendations"]);
    assert!(page.recommendations.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_product_that_was_only_suggested_has_a_page_too() {
    let shop = Shop::new();
    shop.page("MUG").await.unwrap();
    all_away(&shop, &Fault::of(Code::Unavailable));

    let page = shop.page("TEA").await.unwrap().into_inner();

    assert_eq!((page.product.unwrap().sku.as_str(), page.available), ("TEA", 10));
}

#[tokio::test(start_paused = true)]
async fn what_was_never_read_is_the_inventorys_error() {
    let shop = Shop::new();
    for code in AWAY {
        all_away(&shop, &Fault::of(code));

        let failed = shop.page("MUG").await.unwrap_err();

        assert_eq!(failed.code(), code);
        assert_eq!(reason(&failed).as_deref(), Some("ON_PURPOSE"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_read_long_ago_is_not_shown() {
    let shop = Shop::new();
    shop.page("MUG").await.unwrap();
    all_away(&shop, &Fault::of(Code::Unavailable));

    shop.clock.advance(Duration::from_mins(10));
    assert_eq!(shop.page("MUG").await.unwrap().into_inner().degraded, ["inventory"]);
    shop.clock.advance(Duration::from_secs(1));

    assert_eq!(shop.page("MUG").await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_product_that_is_gone_is_not_found_and_not_remembered() {
    let shop = Shop::new();
    shop.page("MUG").await.unwrap();
    shop.peers.state().products.remove("MUG");

    let gone = shop.page("MUG").await.unwrap_err();

    assert_eq!(gone.code(), Code::NotFound);
    assert_eq!(reason(&gone).as_deref(), Some("PRODUCT_NOT_FOUND"));
    all_away(&shop, &Fault::of(Code::Unavailable));
    assert_eq!(shop.page("MUG").await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_another_kind_is_not_hidden() {
    let shop = Shop::new();
    shop.page("MUG").await.unwrap();
    for code in [Code::NotFound, Code::Internal, Code::InvalidArgument, Code::Unimplemented] {
        shop.peers.break_down(Call::Product("MUG"), Fault::of(code));

        assert_eq!(shop.page("MUG").await.unwrap_err().code(), code);
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_of_products_fails_without_the_inventory() {
    let shop = Shop::new();
    let all = || pb::ListProductsRequest::default();
    assert_eq!(
        shop.client.clone().list_products(all()).await.unwrap().into_inner().products.len(),
        3
    );
    shop.peers.break_down(Call::ListProducts, Fault::of(Code::Unavailable));

    let failed = shop.client.clone().list_products(all()).await.unwrap_err();

    assert_eq!(failed.code(), Code::Unavailable);
    assert_eq!(reason(&failed).as_deref(), Some("ON_PURPOSE"));
}

#[tokio::test(start_paused = true)]
async fn nobody_keeps_a_page_that_is_not_as_it_should_be() {
    let shop = Shop::new();
    let whole = shop.get("/v1/products/MUG").await;
    let policy = whole.headers["cache-control"].to_str().unwrap();
    assert!(policy.starts_with("public"), "{policy}");
    for (call, part) in [(Call::Recommend, "recommendations"), (Call::Product("MUG"), "inventory")]
    {
        shop.peers.break_down(call, Fault::of(Code::Unavailable));
        let known = [("if-none-match", "*")];

        let page = shop.http(Method::GET, "/v1/products/MUG", &known, "").await;

        assert_eq!(page.status, 200);
        assert_eq!(page.json["degraded"], serde_json::json!([part]));
        assert_eq!(page.headers["cache-control"], "no-store");
        assert!(!page.headers.contains_key("etag"));
        shop.peers.mend();
    }
}
