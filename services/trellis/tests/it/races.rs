//! Many at once: one request makes one order, and nothing is sold twice.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;
use tonic::{Code, Status};
use trellis_api::error;
use trellis_api::shop::v1 as pb;
use trellis_api::shop::v1::order::State;
use trellis_trellis::session::persist;

use crate::kit::{Customer, Shop, Topology, as_admin, purchase, request_id};

/// How long a buyer takes no answer for an answer.
const PATIENCE: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread")]
async fn many_equal_checkouts_make_one_order_and_equal_answers_in_one_process() {
    many_equal_checkouts_make_one_order_and_equal_answers(Topology::OneProcess).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_equal_checkouts_make_one_order_and_equal_answers_in_a_fleet() {
    many_equal_checkouts_make_one_order_and_equal_answers(Topology::Fleet).await;
}

async fn many_equal_checkouts_make_one_order_and_equal_answers(topology: Topology) {
    let mut shop = Shop::start(topology);
    put_on_sale(&shop, "RACE", 100).await;
    let customer = shop.customer().await;
    let request = purchase("RACE", 1);

    let answers = join_all((0..64).map(|_| customer.checkout(request.clone()))).await;

    let orders: Vec<pb::Order> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(orders[0].state(), State::Confirmed);
    assert!(orders.iter().all(|order| *order == orders[0]));
    let request = pb::ListOrdersRequest::default();
    let listed = shop.client().list_orders(customer.sign(request)).await.unwrap();
    assert_eq!(listed.into_inner().orders.len(), 1);
    assert_eq!(available(&shop, "RACE").await, 99);
    shop.stop();
    shop.assert_audit_is_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_buyers_of_fifty_units_buy_fifty() {
    let mut shop = Shop::start(Topology::OneProcess);
    put_on_sale(&shop, "RACE", 50).await;
    let customer = shop.customer().await;

    let buyers = (0..500).map(|_| buy(customer.clone(), purchase("RACE", 1)));
    let answers = timeout(2 * PATIENCE, join_all(buyers)).await.expect("all get an answer");

    let mut sold = BTreeSet::new();
    for answer in answers {
        match answer {
            Ok(order) => {
                assert_eq!(order.state(), State::Confirmed);
                assert!(sold.insert(order.order_id));
            }
            Err(status) => {
                assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
                assert_eq!(error::reason(&status).as_deref(), Some("OUT_OF_STOCK"));
            }
        }
    }
    assert_eq!(sold.len(), 50);
    assert_eq!(available(&shop, "RACE").await, 0);
    shop.stop();
    shop.assert_audit_is_clean();
}

/// As a careful customer does: who is told to come back, hears nothing, or is told that the order
/// goes on, asks for the same purchase again. A busy shop has no time for five hundred at once.
async fn buy(customer: Customer, request: pb::CheckoutRequest) -> Result<pb::Order, Status> {
    loop {
        let attempt = || customer.checkout(request.clone());
        let order = persist(PATIENCE, |_| {}, attempt).await?;
        // A repetition waits for what is under way.
        if order.state() != State::Pending {
            return Ok(order);
        }
    }
}

async fn put_on_sale(shop: &Shop, sku: &str, stock: i64) {
    let price = trellis_api::r#type::v1::Money { currency_code: "GBP".into(), minor_units: 999 };
    let product = pb::Product {
        sku: sku.into(),
        title: format!("Wanted by many {}", request_id()),
        price: Some(price),
        update_time: None,
    };
    let import = pb::ImportProductsRequest { product: Some(product), stock };
    let stream = futures::stream::iter([import]);
    shop.admin().import_products(as_admin(stream)).await.unwrap();
}

async fn available(shop: &Shop, sku: &str) -> i64 {
    let request = pb::GetProductRequest { sku: sku.into(), ..Default::default() };
    shop.client().get_product(request).await.unwrap().into_inner().available
}
