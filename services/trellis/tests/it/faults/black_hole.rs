//! A payment service that takes calls and answers none.

use std::time::Duration;

use futures::TryStreamExt as _;
use futures::future::join_all;
use tokio::time::Instant;
use tonic::{Code, Status};
use trellis_api::shop::v1 as pb;
use trellis_api::shop::v1::order::State;

use crate::kit::load::Load;
use crate::kit::{Customer, Shop, Topology, purchase};

/// How long a customer waits for a checkout.
const DEADLINE: Duration = Duration::from_secs(3);
const CHECKOUTS: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn while_payment_swallows_calls_checkouts_end_in_time_and_the_shop_goes_on() {
    let mut shop = Shop::start(Topology::Fleet);
    let customer = shop.customer().await;
    let browsing = browse(&shop, &customer);

    shop.process("payment").freeze();
    let answers = join_all((0..CHECKOUTS).map(|_| buy(&customer))).await;
    let browsed = browsing.end().await;
    shop.process("payment").thaw();

    let slowest = answers.iter().map(|(took, _)| *took).max().unwrap_or_default();
    println!(
        "checkouts took {slowest:.2?} at most; {:.2} % of the rest succeeded",
        100.0 * browsed.success()
    );
    let mut orders = Vec::new();
    for (took, answer) in answers {
        assert!(took < DEADLINE + Duration::from_millis(500), "an answer took {took:?}");
        let order = answer.expect("the order was taken");
        assert_eq!(order.state(), State::Pending);
        orders.push(order);
    }
    assert!(0.99 <= browsed.success(), "{:?}", browsed.failures());
    for order in orders {
        assert_eq!(finished(&shop, &customer, &order.order_id).await.state(), State::Confirmed);
    }
    shop.stop();
    // Compares the ledger with the processor's own books: each was charged once.
    shop.assert_audit_is_clean();
}

/// What customers do who do not pay.
fn browse(shop: &Shop, customer: &Customer) -> Load {
    let (client, customer) = (shop.client(), customer.clone());
    Load::start(4, Duration::from_millis(5), move || {
        let (mut client, customer) = (client.clone(), customer.clone());
        async move {
            let page = client.get_product(pb::GetProductRequest {
                sku: "MUG-350ML-BLUE".into(),
                ..Default::default()
            });
            page.await?;
            let request = pb::SetCartItemRequest { sku: "MUG-350ML-BLUE".into(), quantity: 2 };
            client.set_cart_item(customer.sign(request)).await?;
            client.get_cart(customer.sign(pb::GetCartRequest::default())).await?;
            client.get_profile(customer.sign(pb::GetProfileRequest {})).await?;
            Ok(())
        }
    })
}

/// Buys, and repeats it once if the answer does not come in time, as an unknown fate
/// asks for. Says how long the last answer took.
async fn buy(customer: &Customer) -> (Duration, Result<pb::Order, Status>) {
    let purchase = purchase("MUG-350ML-BLUE", 1);
    let first = try_to_buy(customer, purchase.clone()).await;
    match &first.1 {
        Err(status) if status.code() == Code::DeadlineExceeded => {
            try_to_buy(customer, purchase).await
        }
        _ => first,
    }
}

async fn try_to_buy(
    customer: &Customer,
    purchase: pb::CheckoutRequest,
) -> (Duration, Result<pb::Order, Status>) {
    let begin = Instant::now();
    let mut request = customer.sign(purchase);
    request.set_timeout(DEADLINE);
    let answer = customer.shop.clone().checkout(request).await;
    (begin.elapsed(), answer.map(|answer| answer.into_inner().order.unwrap()))
}

/// The order when it has come to its end.
async fn finished(shop: &Shop, customer: &Customer, order_id: &str) -> pb::Order {
    let request = customer.sign(pb::WatchOrderRequest { order_id: order_id.into() });
    let states = shop.client().watch_order(request).await.unwrap().into_inner();
    let states: Vec<pb::WatchOrderResponse> = states.try_collect().await.unwrap();
    states.into_iter().next_back().unwrap().order.unwrap()
}
