//! A shop whose processes share a Redis, and what becomes of it when that is gone.

use std::process::Command;

use trellis_api::shop::v1 as pb;
use trellis_api::shop::v1::order::State;
use trellis_testkit::Redis;

use crate::kit::{Shop, Topology, purchase};

const MUG: &str = "MUG-350ML-BLUE";

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_sells_with_redis_without_it_and_with_it_again() {
    let Some(server) = Redis::start().await else { return };
    let url = server.url();
    let mut shop = Shop::start_with(Topology::Fleet, |command: &mut Command| {
        command.env("TRELLIS_REDIS", &url);
    });
    sells(&shop).await;

    server.kill();
    sells(&shop).await;
    server.resume().await;
    sells(&shop).await;
    server.stop();
    sells(&shop).await;
    server.go_on();
    sells(&shop).await;

    shop.stop();
    shop.assert_audit_is_clean();
}

/// A new customer sees the page, changes who they are, and buys.
async fn sells(shop: &Shop) {
    let mut client = shop.client();
    let page = || pb::GetProductRequest { sku: MUG.to_owned(), ..Default::default() };
    let before = client.get_product(page()).await.unwrap().into_inner();
    assert_eq!(before.degraded, [""; 0]);

    let customer = shop.customer().await;
    let user = pb::User { display_name: "Grace".to_owned(), ..Default::default() };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["display_name".to_owned()] });
    let request = pb::UpdateProfileRequest { user: Some(user), update_mask };
    client.update_profile(customer.sign(request)).await.unwrap();
    let request = pb::GetProfileRequest::default();
    let profile = client.get_profile(customer.sign(request)).await.unwrap().into_inner();
    assert_eq!(profile.user.unwrap().display_name, "Grace");

    let order = customer.checkout(purchase(MUG, 1)).await.unwrap();
    assert_eq!(order.state(), State::Confirmed);
    let after = client.get_product(page()).await.unwrap().into_inner();
    assert_eq!(after.available, before.available - 1);
}
