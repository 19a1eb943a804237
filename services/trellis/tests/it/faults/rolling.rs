//! A new version of every service, one after the other.

use std::time::Duration;

use trellis_api::shop::v1 as pb;
use trellis_api::shop::v1::order::State;
use trellis_api::shop::v1::shop_service_client::ShopServiceClient;
use trellis_chassis::transport::{Edge, Roads, Transport};
use trellis_resilience::policy::{MethodPolicy, PolicyTable};

use crate::kit::load::Load;
use crate::kit::{Customer, Shop, Topology, purchase};

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_of_every_service_fails_no_call() {
    let mut shop = Shop::start(Topology::Fleet);
    let customer = shop.customer().await;
    let (client, buyer) = (patient(&shop), customer.clone());
    let browsing = Load::start(4, Duration::from_millis(5), move || {
        let (mut client, buyer) = (client.clone(), buyer.clone());
        async move {
            let page = client.get_product(pb::GetProductRequest {
                sku: "MUG-350ML-BLUE".into(),
                ..Default::default()
            });
            page.await?;
            client.get_cart(buyer.sign(pb::GetCartRequest::default())).await?;
            client.get_profile(buyer.sign(pb::GetProfileRequest {})).await?;
            Ok(())
        }
    });
    let buyer = Customer { shop: patient(&shop), ..customer.clone() };
    let buying = Load::start(4, Duration::from_millis(20), move || {
        let buyer = buyer.clone();
        async move { buyer.checkout(purchase("MUG-350ML-BLUE", 1)).await.map(drop) }
    });

    for process in &mut shop.processes {
        tokio::task::block_in_place(|| {
            let status = process.stop();
            assert!(status.success(), "{:?} ended with {status}: {}", process.roles, process.log());
            process.restart();
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let (browsed, bought) = (browsing.end().await, buying.end().await);

    println!("of {} rounds of browsing and {} checkouts", browsed.0.len(), bought.0.len());
    assert!(browsed.failures().is_empty(), "{:?}", browsed.failures());
    assert!(bought.failures().is_empty(), "{:?}", bought.failures());
    let request = pb::ListOrdersRequest { page_size: 1, ..Default::default() };
    let listed = shop.client().list_orders(customer.sign(request)).await.unwrap().into_inner();
    assert_ne!(listed.orders[0].state(), State::Unspecified);
    shop.stop();
    shop.assert_audit_is_clean();
}

/// A client that waits for a gateway that is being restarted.
fn patient(shop: &Shop) -> ShopServiceClient<Transport> {
    let policy = MethodPolicy::default().timeout(Duration::from_secs(10));
    let edge = Edge::new("patient.gateway", PolicyTable::new(policy));
    ShopServiceClient::new(Roads::new().remote(&edge, &shop.endpoint()).unwrap())
}
