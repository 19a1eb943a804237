//! A disk without room: a clear error, and nothing that was acknowledged is lost.

use std::process::Command;
use std::time::Duration;

use futures::TryStreamExt as _;
use tonic::{Code, Status};
use trellis_api::shop::v1 as pb;
use trellis_api::shop::v1::order::State;

use crate::kit::{Customer, Shop, Topology, as_admin, keeps_files, purchase, wrap};

/// More than an empty shop needs, in blocks of 512 bytes, and soon used up.
const FILE_LIMIT: &str = "10000";
/// Lines of one order.
const LINES: usize = 200;
/// How long the customer waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_on_a_full_disk_says_so_and_loses_nothing() {
    if !keeps_files() {
        return;
    }
    let mut shop = Shop::start_with(Topology::OneProcess, limit_file_size);
    let customer = shop.customer().await;
    let skus: Vec<String> = (0..LINES).map(|number| format!("LARGE-{number}")).collect();
    let imports: Vec<_> = skus.iter().map(large_product).collect();
    shop.admin().import_products(as_admin(futures::stream::iter(imports))).await.unwrap();

    let mut acknowledged = Vec::new();
    let last = loop {
        match buy(&customer, &skus).await {
            Ok(order) if order.state() == State::Confirmed => acknowledged.push(order),
            other => break other,
        }
        assert!(acknowledged.len() < 10_000, "the disk never filled up");
    };

    assert!(!acknowledged.is_empty());
    match last {
        // The order was taken, and a service behind has no room to go on.
        Ok(order) => {
            assert_eq!(order.state(), State::Pending);
            acknowledged.push(order);
        }
        Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status:?}"),
    }
    let page = shop
        .client()
        .get_product(pb::GetProductRequest { sku: skus[0].clone(), ..Default::default() })
        .await;
    assert!(page.is_ok(), "what needs no room still works: {page:?}");

    shop.processes[0].kill();
    shop.processes[0].restart_with(|command| _ = command.env("FILE_LIMIT", "unlimited"));
    for order in acknowledged {
        let found = finished(&shop, &customer, &order.order_id).await;
        assert_eq!(found.state(), State::Confirmed);
        assert_eq!(found.items, order.items);
    }
    shop.stop();
    shop.assert_audit_is_clean();
}

/// Buys as many lines as there are products, so that each order takes room.
async fn buy(customer: &Customer, skus: &[String]) -> Result<pb::Order, Status> {
    let line = |sku: &String| pb::CheckoutItem { sku: sku.clone(), quantity: 1 };
    let items = skus.iter().map(line).collect();
    let mut request = customer.sign(pb::CheckoutRequest { items, ..purchase("", 1) });
    request.set_timeout(PATIENCE);
    Ok(customer.shop.clone().checkout(request).await?.into_inner().order.unwrap())
}

/// The order when it has come to its end.
async fn finished(shop: &Shop, customer: &Customer, order_id: &str) -> pb::Order {
    let request = customer.sign(pb::WatchOrderRequest { order_id: order_id.into() });
    let states = shop.client().watch_order(request).await.unwrap().into_inner();
    let states: Vec<pb::WatchOrderResponse> = states.try_collect().await.unwrap();
    states.into_iter().next_back().unwrap().order.unwrap()
}

/// A product whose title takes room in every order.
fn large_product(sku: &String) -> pb::ImportProductsRequest {
    let price = trellis_api::r#type::v1::Money { currency_code: "GBP".into(), minor_units: 1 };
    let title = format!("{sku:x<200}");
    let product = pb::Product { sku: sku.clone(), title, price: Some(price), update_time: None };
    pb::ImportProductsRequest { product: Some(product), stock: 1_000_000 }
}

/// Lets the kernel refuse writes past a file size, which databases meet as a
/// full disk. The signal is ignored so that the write fails instead.
fn limit_file_size(command: &mut Command) {
    wrap(command, "trap '' XFSZ; ulimit -f \"$FILE_LIMIT\"; exec \"$@\"");
    command.env("FILE_LIMIT", FILE_LIMIT);
}
