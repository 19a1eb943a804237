//! What customers confide to the shop is in nothing that it tells about itself.
//!
//! Words that occur nowhere else are planted wherever a customer can put one, in good
//! calls and in bad ones, while everything is told that can be; then all of that is
//! searched for them.

use std::fmt::Write as _;

use tonic::Code;
use trellis_api::shop::v1 as pb;
use trellis_telemetry::receiver::Receiver;

use crate::kit::{Customer, Shop, Topology, database, purchase, request_id};

const EMAIL: &str = "canary.bird@example.org";
const OTHER_EMAIL: &str = "canary.never.signed.up@example.org";
const PASSWORD: &str = "canary-password-8f3k2";
const WRONG_PASSWORD: &str = "canary-mistyped-9x7q1";
const NAME: &str = "Canary Yellowfeather";
const NEW_NAME: &str = "Canary Greenfeather";
/// A number of a card, by its check digit.
const CARD: &str = "4539578763621486";
const TOKEN: &str = "tok_ok_canary4f6z";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_customer_confides_is_in_any_span_log_or_metric() {
    for topology in [Topology::OneProcess, Topology::Fleet] {
        let receiver = Receiver::start().await.unwrap();
        let mut shop = Shop::start_with(topology, |command| {
            command
                .env("TRELLIS_LOG", "trace")
                .env("TRELLIS_TRACE", "trace")
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
                .env("OTEL_BSP_MAX_QUEUE_SIZE", "65536");
        });
        let session_tokens = live(&shop).await;
        let mut told = String::new();
        for process in &shop.processes {
            told += &process.metrics().await;
        }
        shop.stop();
        for process in &shop.processes {
            told += &process.log();
        }
        for span in receiver.spans() {
            writeln!(told, "{span:?}").unwrap();
        }

        let users = database(shop.folder(), "user");
        let name =
            |url: &str| url.rsplit(['/', ':']).next().unwrap().trim_end_matches(".db").to_owned();
        let is_kept = |url: &str| told.contains(&format!("write {}", name(url)));
        let is_told = told.contains("AuthorizePayment") && users.split(' ').any(is_kept);
        assert!(is_told, "{topology:?}");
        let planted = [EMAIL, OTHER_EMAIL, PASSWORD, WRONG_PASSWORD, NAME, NEW_NAME, CARD, TOKEN];
        for secret in planted.into_iter().chain(session_tokens.iter().map(String::as_str)) {
            assert_is_not_in(&told, secret, topology);
        }
    }
}

/// As it is, and as it stands in a URL.
fn assert_is_not_in(told: &str, secret: &str, topology: Topology) {
    let in_url: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    for form in [secret.to_owned(), in_url, secret.replace(' ', "%20")] {
        let found = told.lines().find(|line| line.contains(&form));
        assert_eq!(found, None, "`{form}` was told, {topology:?}");
    }
}

/// A life of a customer, with its mistakes. Returns the sessions.
async fn live(shop: &Shop) -> Vec<String> {
    let mut client = shop.client();
    let sign_up = pb::SignUpRequest {
        email: EMAIL.into(),
        password: PASSWORD.into(),
        display_name: NAME.into(),
    };
    let signed_up = client.sign_up(sign_up.clone()).await.unwrap().into_inner();
    let taken = client.sign_up(sign_up).await.unwrap_err();
    assert_eq!(taken.code(), Code::AlreadyExists);

    for (email, password) in [(EMAIL, WRONG_PASSWORD), (OTHER_EMAIL, PASSWORD), (PASSWORD, EMAIL)] {
        let request = pb::SignInRequest { email: email.into(), password: password.into() };
        client.sign_in(request).await.unwrap_err();
    }
    let request = pb::SignInRequest { email: EMAIL.into(), password: PASSWORD.into() };
    let signed_in = client.sign_in(request).await.unwrap().into_inner();

    let sessions = vec![signed_up.session_token, signed_in.session_token];
    let session_token = sessions[0].clone();
    let customer = Customer { shop: client, user: signed_in.user.unwrap(), session_token };
    shop_around(&customer).await;
    mistype(&customer).await;
    over_json(shop, &sessions[1]).await;

    let mut client = customer.shop.clone();
    client.delete_account(customer.sign(pb::DeleteAccountRequest::default())).await.unwrap();
    let over = client.get_profile(customer.sign(pb::GetProfileRequest {})).await.unwrap_err();
    assert_eq!(over.code(), Code::Unauthenticated);
    sessions
}

async fn shop_around(customer: &Customer) {
    let mut client = customer.shop.clone();
    let user = pb::User { display_name: NEW_NAME.into(), ..customer.user.clone() };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["display_name".into()] });
    let update = pb::UpdateProfileRequest { user: Some(user), update_mask };
    client.update_profile(customer.sign(update)).await.unwrap();
    client.get_profile(customer.sign(pb::GetProfileRequest {})).await.unwrap();

    let item = pb::SetCartItemRequest { sku: "MUG-350ML-BLUE".into(), quantity: 1 };
    client.set_cart_item(customer.sign(item)).await.unwrap();
    let bought =
        pb::CheckoutRequest { payment_token: TOKEN.into(), ..purchase("MUG-350ML-BLUE", 1) };
    // The sandbox knows its own tokens only, so this is declined, and told as that.
    let _ = customer.checkout(bought).await;
    let order = customer.checkout(purchase("MUG-350ML-BLUE", 1)).await.unwrap();
    let cancel = pb::CancelOrderRequest { order_id: order.order_id, request_id: request_id() };
    client.cancel_order(customer.sign(cancel)).await.unwrap();
}

/// Secrets where they do not belong.
async fn mistype(customer: &Customer) {
    let mut client = customer.shop.clone();
    for secret in [EMAIL, PASSWORD, CARD, customer.session_token.as_str()] {
        let card = pb::CheckoutRequest { payment_token: secret.into(), ..purchase(secret, 1) };
        customer.checkout(card).await.unwrap_err();
        let request = pb::GetProductRequest { sku: secret.into(), ..Default::default() };
        client.get_product(request).await.unwrap_err();
        customer.order(secret).await.unwrap_err();
        let query = pb::ListProductsRequest { query: secret.into(), ..Default::default() };
        let _ = client.list_products(query).await;
        let request = pb::SignUpRequest {
            email: secret.into(),
            password: String::new(),
            display_name: secret.into(),
        };
        client.sign_up(request).await.unwrap_err();
        let mut request = tonic::Request::new(pb::GetCartRequest::default());
        request.metadata_mut().insert("authorization", format!("Bearer {secret}").parse().unwrap());
        let _ = client.get_cart(request).await;
    }
}

async fn over_json(shop: &Shop, session_token: &str) {
    let mut json = shop.json();
    json.session_token = Some(session_token.to_owned());
    assert_eq!(json.get("/v1/cart").await.status, 200);
    for secret in [EMAIL, PASSWORD, CARD, session_token] {
        for path in ["/v1/products/", "/v1/orders/", "/v1/products?query=", "/nowhere/", "/?"] {
            json.get(&format!("{path}{secret}")).await;
        }
        let body = format!(r#"{{"email": "{secret}", "password": "{secret}", "{secret}": 1}}"#);
        json.call("POST", "/v1/users", &[("content-type", "application/json")], &body).await;
        json.call("POST", "/v1/sessions", &[("content-type", "application/json")], &body).await;
        json.call("POST", "/v1/orders", &[("idempotency-key", secret)], "{}").await;
    }
}
