//! A product page without the service that only decorates it.

use std::time::Duration;

use trellis_api::shop::v1 as pb;

use crate::kit::load::Load;
use crate::kit::{Shop, Topology};

#[tokio::test(flavor = "multi_thread")]
async fn product_pages_stay_when_the_recommendation_service_is_killed() {
    let mut shop = Shop::start(Topology::Fleet);
    let client = shop.client();
    let load = Load::start(8, Duration::ZERO, move || {
        let mut client = client.clone();
        async move {
            client
                .get_product(pb::GetProductRequest { sku: "MUG-350ML-BLUE".into() })
                .await
                .map(drop)
        }
    });

    tokio::time::sleep(Duration::from_secs(2)).await;
    shop.process("recommendation").kill();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let pages = load.end().await;

    assert!(0.999 <= pages.success(), "{:?}", pages.failures());
    let request = pb::GetProductRequest { sku: "MUG-350ML-BLUE".into() };
    let page = shop.client().get_product(request).await.unwrap().into_inner();
    assert_eq!(page.degraded, ["recommendations"]);
}
