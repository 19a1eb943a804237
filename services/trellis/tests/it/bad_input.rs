//! Bad input gets a clear answer, and nothing is stored.

use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use trellis_api::error;
use trellis_api::inventory::v1 as inventory;
use trellis_api::inventory::v1::inventory_service_client::InventoryServiceClient;
use trellis_api::limits::{Bounded as _, MAX_MESSAGE, MAX_PUBLIC_MESSAGE};
use trellis_api::shop::v1 as pb;
use trellis_chassis::transport;

use crate::kit::{Shop, Topology, as_admin, purchase, request_id};

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_field_is_refused_by_its_name() {
    let shop = Shop::start(Topology::OneProcess);
    let customer = shop.customer().await;
    let mut client = shop.client();
    let sku = first_sku(&shop).await;

    let good = purchase(&sku, 1);
    let many = vec![good.items[0].clone(); 2_000];
    let purchases = [
        ("request_id", pb::CheckoutRequest { request_id: "1".into(), ..good.clone() }),
        ("request_id", pb::CheckoutRequest { request_id: String::new(), ..good.clone() }),
        ("payment_token", pb::CheckoutRequest { payment_token: String::new(), ..good.clone() }),
        (
            "payment_token",
            pb::CheckoutRequest { payment_token: "4242 4242 4242 4242".into(), ..good.clone() },
        ),
        ("items", pb::CheckoutRequest { items: many, ..good }),
        ("items[0].quantity", purchase(&sku, 0)),
        ("items[0].quantity", purchase(&sku, -1)),
        ("items[0].quantity", purchase(&sku, i32::MAX)),
        ("items[0].sku", purchase("mug", 1)),
        ("items[0].sku", purchase("NO-SUCH-PRODUCT", 1)),
    ];
    for (field, request) in purchases {
        refused(field, &customer.checkout(request).await.unwrap_err());
    }

    let list = |page_size, page_token: &str| pb::ListProductsRequest {
        page_size,
        page_token: page_token.into(),
        ..Default::default()
    };
    for (field, request) in
        [("page_size", list(-1, "")), ("page_size", list(101, "")), ("page_token", list(1, "x"))]
    {
        refused(field, &client.list_products(request).await.unwrap_err());
    }

    let sign_up = |email: &str, password: &str, display_name: &str| pb::SignUpRequest {
        email: email.into(),
        password: password.into(),
        display_name: display_name.into(),
    };
    for (field, request) in [
        ("email", sign_up("ada", "correct horse", "Ada")),
        ("password", sign_up("ada@example.com", "short", "Ada")),
        ("display_name", sign_up("ada@example.com", "correct horse", "")),
    ] {
        refused(field, &client.sign_up(request).await.unwrap_err());
    }

    let item = pb::SetCartItemRequest { sku, quantity: -1 };
    refused("quantity", &client.set_cart_item(customer.sign(item)).await.unwrap_err());
    let orders = client.list_orders(customer.sign(pb::ListOrdersRequest::default())).await.unwrap();
    assert_eq!(orders.into_inner().orders, [], "nothing was stored");
}

fn refused(field: &str, status: &Status) {
    assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status:?}");
    let violations = status.get_details_bad_request().unwrap().field_violations;
    assert_eq!(violations[0].field, field, "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_or_not_yours_cannot_be_told_apart() {
    let shop = Shop::start(Topology::OneProcess);
    let (owner, other) = (shop.customer().await, shop.customer().await);
    let sku = first_sku(&shop).await;
    let order = owner.checkout(purchase(&sku, 1)).await.unwrap();
    let missing = "order_01h455vb4pex5vsknk084sn02q";

    let foreign = other.order(&order.order_id).await.unwrap_err();
    let absent = other.order(missing).await.unwrap_err();
    let cancel = pb::CancelOrderRequest { order_id: order.order_id, request_id: request_id() };
    let cancelled = shop.client().cancel_order(other.sign(cancel)).await.unwrap_err();

    for status in [&foreign, &absent, &cancelled] {
        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(error::reason(status).as_deref(), Some("ORDER_NOT_FOUND"));
    }
    let request = pb::GetProductRequest { sku: "NO-SUCH-PRODUCT".into(), ..Default::default() };
    let product = shop.client().get_product(request).await.unwrap_err();
    assert_eq!(product.code(), Code::NotFound);
    assert_eq!(error::reason(&product).as_deref(), Some("PRODUCT_NOT_FOUND"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_a_session_is_told_to_sign_in() {
    let shop = Shop::start(Topology::OneProcess);
    let mut customer = shop.customer().await;
    let mut client = shop.client();

    let nobody = client.get_cart(pb::GetCartRequest::default()).await.unwrap_err();
    customer.session_token.push('x');
    let stranger = client.get_cart(customer.sign(pb::GetCartRequest::default())).await.unwrap_err();

    assert_eq!(nobody.code(), Code::Unauthenticated);
    assert_eq!(stranger.code(), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_is_refused_on_both_roads() {
    let shop = Shop::start(Topology::OneProcess);
    let mut client = shop.client();
    for (bytes, code, http) in [
        (MAX_PUBLIC_MESSAGE - 1_024, Code::InvalidArgument, 400),
        (MAX_PUBLIC_MESSAGE + 1, Code::OutOfRange, 413),
        (2 * MAX_MESSAGE, Code::OutOfRange, 413),
    ] {
        let display_name = "x".repeat(bytes);
        let body = format!(r#"{{"display_name": "{display_name}"}}"#);
        let request = pb::SignUpRequest { display_name, ..Default::default() };

        let grpc = client.sign_up(request).await.unwrap_err();
        let json = shop.json().call("POST", "/v1/users", &[], &body).await;

        assert_eq!(grpc.code(), code, "{bytes}: {grpc:?}");
        assert_eq!(json.status, http, "{bytes}: {}", json.text);
        first_sku(&shop).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_is_refused_inside_of_a_fleet_too() {
    let mut shop = Shop::start(Topology::Fleet);
    let endpoint = format!("http://{}", shop.process("inventory").address);
    let mut inventory = InventoryServiceClient::new(transport::remote(&endpoint).unwrap());
    let skus = |count| inventory::BatchGetProductsRequest {
        skus: vec!["X".repeat(32); count],
        for_display: false,
    };

    let large = inventory.batch_get_products(skus(MAX_MESSAGE / 34 + 1)).await.unwrap_err();
    let many = inventory.batch_get_products(skus(MAX_MESSAGE / 40)).await.unwrap_err();
    let unsent = inventory.clone().bounded().batch_get_products(skus(MAX_MESSAGE / 34 + 1)).await;

    assert_eq!(large.code(), Code::OutOfRange, "{large:?}");
    refused("skus", &many);
    assert_eq!(unsent.unwrap_err().code(), Code::OutOfRange);
    inventory.batch_get_products(skus(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_import_the_bad_product_is_named_however_large_it_is() {
    let shop = Shop::start(Topology::OneProcess);
    let title = "x".repeat(MAX_PUBLIC_MESSAGE - 1_024);
    let import = move |number| {
        let price =
            Some(trellis_api::r#type::v1::Money { currency_code: "GBP".into(), minor_units: 350 });
        let sku = format!("LARGE-{number}");
        let product = pb::Product { sku, title: title.clone(), price, update_time: None };
        pb::ImportProductsRequest { product: Some(product), stock: 1 }
    };
    let imports = as_admin(futures::stream::iter((0..10).map(import)));

    let status = shop.admin().import_products(imports).await.unwrap_err();

    refused("products[0].product.title", &status);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_used_for_something_else_is_refused() {
    let shop = Shop::start(Topology::OneProcess);
    let customer = shop.customer().await;
    let sku = first_sku(&shop).await;
    let first = purchase(&sku, 1);
    let other = pb::CheckoutRequest { request_id: first.request_id.clone(), ..purchase(&sku, 2) };
    customer.checkout(first).await.unwrap();

    let refused = customer.checkout(other).await.unwrap_err();

    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(error::reason(&refused).as_deref(), Some("IDEMPOTENCY_KEY_REUSED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_path_and_a_wrong_method_are_told_apart_in_json() {
    let shop = Shop::start(Topology::OneProcess);
    let json = shop.json();

    let path = json.get("/v1/nothing").await;
    let method = json.call("PUT", "/v1/users", &[], "{}").await;

    assert_eq!(path.status, 404);
    assert_eq!((method.status, method.headers["allow"].to_str().unwrap()), (405, "POST"));
    assert!(path.headers.contains_key("trace-id"));
}

async fn first_sku(shop: &Shop) -> String {
    let request = pb::ListProductsRequest { page_size: 1, ..Default::default() };
    shop.client().list_products(request).await.unwrap().into_inner().products[0].sku.clone()
}
