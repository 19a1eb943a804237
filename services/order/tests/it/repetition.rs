//! One request, one order, one answer, however often it comes.

use std::time::Duration;

use futures::future::join_all;
use prost::Message as _;
use tonic::Code;
use trellis_api::error::reason;
use trellis_api::order::v1 as pb;
use trellis_api::shop::v1::CheckoutItem;
use trellis_api::shop::v1::order::State;
use trellis_chassis::Clock as _;
use uuid::Uuid;

use super::ground::customer;
use super::shop::Shop;
use super::world::Call;

#[tokio::test]
async fn sixty_four_equal_requests_make_one_order_and_get_one_answer() {
    for token in ["tok_ok", "tok_declined"] {
        let shop = Shop::new().await;
        let request = shop.purchase(token);

        let answers = join_all((0..64).map(|_| shop.checkout(request.clone()))).await;

        let answers: Vec<_> = answers
            .into_iter()
            .map(|answer| match answer {
                Ok(response) => (0, response.into_inner().encode_to_vec()),
                Err(status) => (status.code() as i32, status.details().to_vec()),
            })
            .collect();
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{token}");
        assert_eq!(shop.all_orders().await.len(), 1);
        assert_eq!(shop.world().calls(Call::Reserve), 1);
    }
}

#[tokio::test]
async fn a_repetition_gets_the_same_bytes_and_a_mark() {
    let shop = Shop::new().await;
    let request = shop.purchase("tok_ok");
    let first = shop.checkout(request.clone()).await.unwrap();
    let order_id = first.get_ref().order.clone().unwrap().order_id;
    // The answer stays the first one, whatever becomes of the order.
    shop.cancel(&order_id, Uuid::new_v4()).await.unwrap();

    let again = shop.checkout(request).await.unwrap();

    assert!(first.metadata().get("idempotency-replayed").is_none());
    assert_eq!(again.metadata().get("idempotency-replayed").unwrap(), "true");
    assert_eq!(first.into_inner().encode_to_vec(), again.into_inner().encode_to_vec());
    assert_eq!(shop.order(&order_id).await.state(), State::Refunded);
}

#[tokio::test]
async fn a_repeated_refusal_is_the_same_refusal() {
    let shop = Shop::new().await;
    let request = shop.purchase("tok_declined");
    let first = shop.checkout(request.clone()).await.unwrap_err();

    let again = shop.checkout(request).await.unwrap_err();

    assert_eq!(again.metadata().get("idempotency-replayed").unwrap(), "true");
    assert_eq!(
        (first.code(), first.message(), first.details()),
        (again.code(), again.message(), again.details()),
    );
}

#[tokio::test]
async fn a_repetition_while_the_order_is_pending_waits_with_the_first() {
    let shop = Shop::new().await;
    let request = shop.purchase("tok_ok");
    let gate = shop.world().gate(Call::Authorize);
    let repeat = async {
        gate.reached().await;
        let again = shop.checkout(request.clone());
        let open = async { gate.open() };
        tokio::join!(again, open).0
    };

    let (first, again) = tokio::join!(shop.checkout(request.clone()), repeat);

    let (first, again) = (first.unwrap(), again.unwrap());
    assert_eq!(again.metadata().get("idempotency-replayed").unwrap(), "true");
    assert_eq!(first.into_inner(), again.into_inner());
    assert_eq!(shop.world().calls(Call::Authorize), 1);
}

#[tokio::test]
async fn a_request_id_stands_for_one_purchase_only() {
    let shop = Shop::new().await;
    let request = shop.purchase("tok_ok");
    shop.checkout(request.clone()).await.unwrap();
    let other_items = pb::CheckoutRequest {
        items: vec![CheckoutItem { sku: "MUG".to_owned(), quantity: 3 }],
        ..request.clone()
    };
    let other_card = pb::CheckoutRequest { payment_token: "tok_other".to_owned(), ..request };

    for other in [other_items, other_card] {
        let refused = shop.checkout(other).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(reason(&refused).as_deref(), Some("IDEMPOTENCY_KEY_REUSED"));
    }
    assert_eq!(shop.all_orders().await.len(), 1);
}

#[tokio::test]
async fn a_repetition_after_the_record_is_gone_finds_the_order() {
    let shop = Shop::new().await;
    let request = shop.purchase("tok_ok");
    let order = shop.checkout(request.clone()).await.unwrap().into_inner().order;
    shop.advance(Duration::from_hours(73));
    assert_eq!(shop.store.purge(shop.ground.clock.now()).await.unwrap(), 1);

    let late = shop.checkout(request).await.unwrap();

    assert_eq!(late.metadata().get("idempotency-replayed").unwrap(), "true");
    assert_eq!(late.into_inner().order, order);
    assert_eq!(shop.world().state().captures, 1);
}

#[tokio::test]
async fn two_customers_may_use_the_same_request_id() {
    let shop = Shop::new().await;
    let request = shop.purchase("tok_ok");
    let stranger = customer().to_string();
    let of_stranger = pb::CheckoutRequest { user_id: stranger.clone(), ..request.clone() };

    let one = shop.checkout(request).await.unwrap().into_inner().order.unwrap();
    let other = shop.checkout(of_stranger).await.unwrap().into_inner().order.unwrap();

    assert_ne!(one.order_id, other.order_id);
    assert_eq!(other.user_id, stranger);
}
