//! A disk without room: a clear error, and nothing that was acknowledged is lost.

use std::process::Command;

use tonic::Code;
use trellis_api::shop::v1 as pb;
use trellis_api::shop::v1::order::State;

use crate::kit::{Shop, Topology, as_admin, purchase, wrap};

/// More than an empty shop needs, in blocks of 512 bytes, and soon used up.
const FILE_LIMIT: &str = "10000";
/// Lines of one order.
const LINES: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_on_a_full_disk_says_so_and_loses_nothing() {
    let mut shop = Shop::start_with(Topology::OneProcess, limit_file_size);
    let customer = shop.customer().await;
    let skus: Vec<String> = (0..LINES).map(|number| format!("LARGE-{number}")).collect();
    let imports: Vec<_> = skus.iter().map(large_product).collect();
    shop.admin().import_products(as_admin(futures::stream::iter(imports))).await.unwrap();

    let mut acknowledged = Vec::new();
    let refused = loop {
        match customer.checkout(large_purchase(&skus)).await {
            Ok(order) => acknowledged.push(order),
            Err(status) => break status,
        }
        assert!(acknowledged.len() < 10_000, "the disk never filled up");
    };

    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert!(!acknowledged.is_empty());
    let page = shop.client().get_product(pb::GetProductRequest { sku: skus[0].clone() }).await;
    assert!(page.is_ok(), "what needs no room still works: {page:?}");
    shop.processes[0].kill();
    shop.processes[0].restart_with(|command| _ = command.env("FILE_LIMIT", "unlimited"));
    for order in acknowledged {
        let found = customer.order(&order.order_id).await.unwrap();
        if order.state() == State::Confirmed {
            assert_eq!(found, order);
        }
    }
}

/// A product whose title takes room in every order.
fn large_product(sku: &String) -> pb::ImportProductsRequest {
    let price = trellis_api::r#type::v1::Money { currency_code: "GBP".into(), minor_units: 1 };
    let title = format!("{sku:x<200}");
    let product = pb::Product { sku: sku.clone(), title, price: Some(price), update_time: None };
    pb::ImportProductsRequest { product: Some(product), stock: 1_000_000 }
}

/// As many lines as there are products, so that each order takes room.
fn large_purchase(skus: &[String]) -> pb::CheckoutRequest {
    let line = |sku: &String| pb::CheckoutItem { sku: sku.clone(), quantity: 1 };
    pb::CheckoutRequest { items: skus.iter().map(line).collect(), ..purchase("", 1) }
}

/// Lets the kernel refuse writes past a file size, which databases meet as a
/// full disk. The signal is ignored so that the write fails instead.
fn limit_file_size(command: &mut Command) {
    wrap(command, "trap '' XFSZ; ulimit -f \"$FILE_LIMIT\"; exec \"$@\"");
    command.env("FILE_LIMIT", FILE_LIMIT);
}
