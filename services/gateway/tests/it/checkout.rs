//! Checkouts whose answer is late, or does not come.

use std::net::Ipv4Addr;
use std::time::Duration;

use http::Method;
use serde_json::Value;
use tokio::net::TcpSocket;
use tokio::time::Instant;
use tonic::{Code, Status};
use trellis_api::error::{self, metadata, reason, retry_after};
use trellis_api::shop::v1 as pb;
use trellis_api::shop::v1::order::State;
use trellis_chassis::transport;

use super::peers::{Call, Fault, USER};
use super::shop::{Shop, signed_in, within};

const REQUEST_ID: &str = "0e7ad3b8-1c0e-4b6c-9f0e-6a6d3a1f2b11";

fn purchase() -> pb::CheckoutRequest {
    let (request_id, payment_token) = (REQUEST_ID.to_owned(), "tok_ok".to_owned());
    pb::CheckoutRequest { request_id, payment_token, items: Vec::new() }
}

async fn checkout(shop: &Shop) -> Result<pb::Order, Status> {
    let answer = shop.client.clone().checkout(signed_in(purchase())).await?;
    Ok(answer.into_inner().order.unwrap())
}

async fn cancel(shop: &Shop) -> Result<pb::CancelOrderResponse, Status> {
    let request = pb::CancelOrderRequest {
        order_id: "order_01h455vb4pex5vsknk084sn02q".to_owned(),
        request_id: REQUEST_ID.to_owned(),
    };
    shop.client.clone().cancel_order(signed_in(request)).await.map(tonic::Response::into_inner)
}

/// The reason in an error's details.
fn said(json: &Value) -> &str {
    json["error"]["details"]
        .as_array()
        .unwrap()
        .iter()
        .find_map(|detail| detail["reason"].as_str())
        .unwrap()
}

/// Nobody answered, now or a moment ago.
const UNREACHABLE: [&str; 2] = ["UNSENT", "NO_ENDPOINTS"];

#[tokio::test]
async fn orders_that_cannot_be_reached_are_to_be_repeated_with_the_same_id() {
    // The port is taken, and nobody listens on it.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    let shop =
        Shop::over(|needs| needs.order = transport::remote(&format!("http://{address}")).unwrap());

    for failed in [checkout(&shop).await.unwrap_err(), cancel(&shop).await.unwrap_err()] {
        assert_eq!(failed.code(), Code::Unavailable);
        let reason = reason(&failed).unwrap();
        assert!(UNREACHABLE.contains(&reason.as_str()), "{reason}");
        assert!(failed.message().contains("repeat the call with the same request_id"));
        assert_eq!(retry_after(&failed), Some(Duration::from_secs(1)));
    }

    let key = [("idempotency-key", REQUEST_ID)];
    let body = r#"{"paymentToken": "tok_ok"}"#;
    let failed = shop.http(Method::POST, "/v1/orders", &key, body).await;
    assert_eq!(failed.status, 503);
    assert_eq!(failed.headers["retry-after"], "1");
    assert_eq!(failed.headers["cache-control"], "private, no-store");
    let reason = said(&failed.json);
    assert!(UNREACHABLE.contains(&reason), "{reason}");
    assert!(failed.json["error"]["message"].as_str().unwrap().contains("Idempotency-Key"));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_says_when_to_come_back_is_taken_at_its_word() {
    let shop = Shop::new();
    let wait = Duration::from_secs(3);
    let away = error::unavailable("CATALOG_UNAVAILABLE", "the catalogue cannot be reached", wait);
    shop.peers.break_down(Call::Checkout, Fault::Fails(away));

    let failed = checkout(&shop).await.unwrap_err();

    assert_eq!(failed.code(), Code::Unavailable);
    assert_eq!(reason(&failed).as_deref(), Some("CATALOG_UNAVAILABLE"));
    assert_eq!(retry_after(&failed), Some(wait));
    assert!(failed.message().starts_with("the catalogue cannot be reached: repeat the call"));
}

#[tokio::test(start_paused = true)]
async fn a_checkout_without_an_answer_is_unknown_and_may_be_repeated_with_the_same_id() {
    let shop = Shop::new();
    shop.peers.break_down(Call::Checkout, Fault::of(Code::DeadlineExceeded));

    let failed = checkout(&shop).await.unwrap_err();

    assert_eq!(failed.code(), Code::DeadlineExceeded);
    assert_eq!(reason(&failed).as_deref(), Some("ON_PURPOSE"));
    assert!(failed.message().contains("repeat the call with the same request_id"));
    assert_eq!(retry_after(&failed), None, "only UNAVAILABLE says when");
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_good_is_passed_on_as_it_is() {
    let shop = Shop::new();
    let refusal =
        error::status(Code::FailedPrecondition, "OUT_OF_STOCK", "sold out", &[("sku", "MUG")]);
    shop.peers.break_down(Call::Checkout, Fault::Fails(refusal.clone()));
    shop.peers.break_down(Call::Cancel, Fault::Fails(refusal.clone()));

    for failed in [checkout(&shop).await.unwrap_err(), cancel(&shop).await.unwrap_err()] {
        assert_eq!((failed.code(), failed.message()), (refusal.code(), refusal.message()));
        assert_eq!(failed.details(), refusal.details());
        assert_eq!(metadata(&failed, "sku").as_deref(), Some("MUG"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_pending_order_comes_inside_the_deadline_that_the_customer_set() {
    let shop = Shop::new();
    let time = Duration::from_secs(1);
    let start = Instant::now();

    let answer = shop.client.clone().checkout(within(time, signed_in(purchase()))).await.unwrap();

    assert!(start.elapsed() < time, "{:?}", start.elapsed());
    let order = answer.into_inner().order.unwrap();
    assert_eq!((order.state(), order.user_id.as_str()), (State::Pending, USER));

    let headers = [("idempotency-key", REQUEST_ID), ("grpc-timeout", "1S")];
    let body = r#"{"paymentToken": "tok_ok"}"#;
    let answer = shop.http(Method::POST, "/v1/orders", &headers, body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json["order"]["state"], "STATE_PENDING");
}
