//! A payment processor that an operator takes away and gives back.

use std::time::Duration;

use futures::TryStreamExt as _;
use trellis_api::shop::v1 as pb;
use trellis_api::shop::v1::order::State;

use crate::kit::{Shop, Topology, purchase};

#[tokio::test(flavor = "multi_thread")]
async fn while_an_operator_holds_the_processor_back_orders_wait_and_none_is_declined() {
    let mut shop = Shop::start(Topology::OneProcess);
    let customer = shop.customer().await;
    let breaker = "/breakers/payment.processor.authorize";

    shop.gateway().debug("POST", breaker, r#"{"mode": "forced_open"}"#).await;
    let mut request = customer.sign(purchase("MUG-350ML-BLUE", 1));
    request.set_timeout(Duration::from_secs(2));
    let order = customer.shop.clone().checkout(request).await.unwrap().into_inner().order.unwrap();
    let seen = shop.gateway().debug("GET", "", "").await;
    shop.gateway().debug("POST", breaker, r#"{"mode": "normal"}"#).await;

    assert_eq!(order.state(), State::Pending);
    let authorize = &seen["executors"]["payment.processor.authorize"];
    assert_eq!(authorize["breaker"]["mode"], "forced_open");
    assert!(authorize["operations"]["authorize"].is_object(), "{authorize}");
    let mut request = customer.sign(pb::WatchOrderRequest { order_id: order.order_id });
    // Longer than the saga's next wait can be.
    request.set_timeout(Duration::from_secs(30));
    let states = shop.client().watch_order(request).await.unwrap().into_inner();
    let states: Vec<pb::WatchOrderResponse> = states.try_collect().await.unwrap();
    let last = states.last().unwrap().order.as_ref().unwrap();
    assert_eq!((last.state(), &*last.reason), (State::Confirmed, ""));

    shop.stop();
    shop.assert_audit_is_clean();
}
