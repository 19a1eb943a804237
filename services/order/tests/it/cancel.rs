//! Cancelling before and after the pivot, once.

use std::time::Duration;

use futures::future::join_all;
use tonic::Code;
use trellis_api::error::reason;
use trellis_api::inventory::v1::reservation::State as Reserved;
use trellis_api::order::v1 as pb;
use trellis_api::payment::v1::payment::State as Paid;
use trellis_api::shop::v1::order::State;
use uuid::Uuid;

use super::shop::Shop;
use super::world::{Call, Fault};

const BY_CUSTOMER: &str = "CANCELLED_BY_CUSTOMER";

#[tokio::test]
async fn a_confirmed_order_is_refunded_and_restocked() {
    let shop = Shop::new().await;
    let order = shop.buy("tok_ok").await;

    let answer = shop.cancel(&order.order_id, Uuid::new_v4()).await.unwrap();

    let order = answer.into_inner().order.unwrap();
    assert_eq!((order.state(), order.reason.as_str()), (State::Refunded, BY_CUSTOMER));
    assert_eq!(shop.world().payment(&order.order_id), Some(Paid::Refunded));
    assert_eq!(shop.world().reservation(&order.order_id), Some(Reserved::Restocked));
    assert_eq!(shop.world().available("MUG"), 1_000);
    assert_eq!(shop.ground.heard.heard("order.refunded").await.subject, order.order_id);
    assert!(shop.violations().await.is_empty());
}

#[tokio::test]
async fn a_pending_order_is_cancelled_before_the_pivot() {
    let shop = Shop::new().await;
    let gate = shop.world().gate(Call::Authorize);
    let order = shop.begin("tok_ok").await;

    assert_eq!(shop.note_cancel(&order.order_id).await.state(), State::Pending);
    gate.open();

    let order = shop.settled(&order.order_id).await;
    assert_eq!((order.state(), order.reason.as_str()), (State::Cancelled, BY_CUSTOMER));
    assert_eq!(shop.world().payment(&order.order_id), Some(Paid::Voided));
    assert_eq!(shop.world().available("MUG"), 1_000);
    assert_eq!(shop.world().calls(Call::Commit), 0);
    assert!(shop.violations().await.is_empty());
}

#[tokio::test]
async fn a_wish_that_comes_while_the_order_rests_is_heard_at_once() {
    let shop = Shop::new().await;
    shop.world().break_down(Call::Authorize, Fault::Unavailable);
    let order = shop.begin("tok_ok").await;
    shop.advance(Duration::from_secs(1));

    let cancel = shop.cancel(&order.order_id, Uuid::new_v4());
    let answer = shop.while_time_passes(cancel).await.unwrap();

    let order = answer.into_inner().order.unwrap();
    assert_eq!((order.state(), order.reason.as_str()), (State::Cancelled, BY_CUSTOMER));
    assert_eq!(shop.world().payment(&order.order_id), Some(Paid::Voided));
    assert_eq!(shop.world().reservation(&order.order_id), Some(Reserved::Released));
}

#[tokio::test]
async fn a_wish_that_comes_after_the_pivot_becomes_a_refund() {
    let shop = Shop::new().await;
    let gate = shop.world().gate(Call::Capture);
    let order = shop.begin("tok_ok").await;

    assert_eq!(shop.note_cancel(&order.order_id).await.state(), State::Pending);
    gate.open();

    assert_eq!(shop.ground.heard.heard("order.refunded").await.subject, order.order_id);
    let order = shop.order(&order.order_id).await;
    assert_eq!((order.state(), order.reason.as_str()), (State::Refunded, BY_CUSTOMER));
    assert_eq!(shop.world().payment(&order.order_id), Some(Paid::Refunded));
    assert_eq!(shop.world().state().refunds, 1);
    assert_eq!(shop.world().available("MUG"), 1_000);
    assert!(shop.violations().await.is_empty());
}

#[tokio::test]
async fn cancelling_twice_at_once_refunds_once() {
    let shop = Shop::new().await;
    let order = shop.buy("tok_ok").await;
    let one = Uuid::new_v4();
    let requests = (0..16).map(|n| if n % 2 == 0 { one } else { Uuid::new_v4() });

    let answers = join_all(requests.map(|request| shop.cancel(&order.order_id, request))).await;

    let answers: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().into_inner()).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(answers[0].order.as_ref().unwrap().state(), State::Refunded);
    assert_eq!(shop.world().state().refunds, 1);
    assert_eq!(shop.world().calls(Call::Refund), 1);
}

#[tokio::test]
async fn a_repeated_cancellation_says_the_same_with_a_mark() {
    let shop = Shop::new().await;
    let order = shop.buy("tok_ok").await;
    let request = Uuid::new_v4();
    let first = shop.cancel(&order.order_id, request).await.unwrap();

    let again = shop.cancel(&order.order_id, request).await.unwrap();

    assert_eq!(again.metadata().get("idempotency-replayed").unwrap(), "true");
    assert_eq!(first.into_inner(), again.into_inner());
}

#[tokio::test]
async fn a_cancelled_order_stays_as_it_is() {
    let shop = Shop::new().await;
    let refused = shop.checkout(shop.purchase("tok_declined")).await.unwrap_err();
    let order_id = trellis_api::error::metadata(&refused, "order_id").unwrap();

    let answer = shop.cancel(&order_id, Uuid::new_v4()).await.unwrap().into_inner();

    let order = answer.order.unwrap();
    assert_eq!((order.state(), order.reason.as_str()), (State::Cancelled, "PAYMENT_DECLINED"));
}

#[tokio::test]
async fn a_request_id_cancels_one_order_only() {
    let shop = Shop::new().await;
    let (one, other) = (shop.buy("tok_ok").await, shop.buy("tok_ok").await);
    let request = Uuid::new_v4();
    shop.cancel(&one.order_id, request).await.unwrap();

    let refused = shop.cancel(&other.order_id, request).await.unwrap_err();

    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(reason(&refused).as_deref(), Some("IDEMPOTENCY_KEY_REUSED"));
    assert_eq!(shop.order(&other.order_id).await.state(), State::Confirmed);
}

#[tokio::test]
async fn a_refund_survives_a_payment_service_that_is_away() {
    let shop = Shop::new().await;
    let order = shop.buy("tok_ok").await;
    shop.world().break_down(Call::Refund, Fault::Lost);
    let heal = async {
        shop.world().called(Call::Refund, 4).await;
        shop.world().mend();
    };
    let cancel = shop.cancel(&order.order_id, Uuid::new_v4());

    let (answer, ()) = shop.while_time_passes(async { tokio::join!(cancel, heal) }).await;

    assert_eq!(answer.unwrap().into_inner().order.unwrap().state(), State::Refunded);
    assert_eq!(shop.world().state().refunds, 1);
}

#[tokio::test]
async fn a_cancellation_names_an_order_and_itself() {
    let shop = Shop::new().await;
    let order = shop.buy("tok_ok").await;
    let user_id = shop.ground.user_id.to_string();
    let order_id = order.order_id.clone();
    let request_id = Uuid::new_v4().to_string();
    let good = pb::CancelOrderRequest { user_id, order_id, request_id };
    for bad in [
        pb::CancelOrderRequest { user_id: String::new(), ..good.clone() },
        pb::CancelOrderRequest { order_id: "order_1".to_owned(), ..good.clone() },
        pb::CancelOrderRequest { request_id: "1".to_owned(), ..good.clone() },
    ] {
        let refused = shop.orders.clone().cancel_order(bad).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(reason(&refused).as_deref(), Some("INVALID_FIELD"));
    }
    assert_eq!(shop.order(&order.order_id).await.state(), State::Confirmed);
}
