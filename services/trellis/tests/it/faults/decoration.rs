//! A product page without the service that only decorates it.

use std::time::Duration;

use trellis_api::shop::v1 as pb;

use crate::kit::load::Load;
use crate::kit::{Shop, Topology};

const WARM_UP: Duration = Duration::from_secs(1);
const WATCHED: Duration = Duration::from_secs(4);

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

    tokio::time::sleep(WARM_UP + WATCHED).await;
    let killed = load.elapsed();
    shop.process("recommendation").kill();
    tokio::time::sleep(WATCHED).await;
    let end = load.elapsed();
    let pages = load.end().await;

    let before = pages.usual_p99(WARM_UP, killed);
    // From the very moment on.
    let after = pages.usual_p99(killed, end);
    let ratio = after.as_secs_f64() / before.as_secs_f64();
    println!(
        "{} of {} pages failed; p99 {before:.1?} before, and {ratio:.2} times that after",
        pages.failures().len(),
        pages.0.len(),
    );
    assert!(0.999 <= pages.success(), "{:?}", pages.failures());
    assert!(ratio <= 1.1, "{after:?} after {before:?}");
    let request = pb::GetProductRequest { sku: "MUG-350ML-BLUE".into() };
    let page = shop.client().get_product(request).await.unwrap().into_inner();
    assert_eq!(page.degraded, ["recommendations"]);
}
