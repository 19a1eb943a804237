//! Three instances of the inventory, of which one is bad.

use std::time::Duration;

use serde_json::Value;
use trellis_api::shop::v1 as pb;

use crate::kit::Replicated;
use crate::kit::load::{Load, share};

const CALLERS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_fails_fast_gets_hardly_any_traffic() {
    let shop = Replicated::start(3);
    let bad = &shop.inventories[0];
    let load = pages(&shop);
    tokio::time::sleep(Duration::from_secs(1)).await;

    let rule = r#"[{"target": "server", "fault": {"error": "UNAVAILABLE"}}]"#;
    bad.debug("PUT", "/chaos", rule).await;
    // It takes a few failures to be found out.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (from, before) = (load.elapsed(), struck(&bad.debug("GET", "/chaos", "").await));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (to, after) = (load.elapsed(), struck(&bad.debug("GET", "/chaos", "").await));
    let pages = load.end().await;

    // Each page asks the inventory at least once.
    let calls = pages.between(from, to).count();
    let share = share(after - before, calls);
    println!("the bad instance got {:.2} % of {calls} calls", 100.0 * share);
    assert!(share <= 0.02, "the bad instance got {share} of {calls} calls");
    assert!(0.999 <= pages.success(), "{:?}", pages.failures());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_seconds_after_an_instance_is_killed_hardly_any_call_fails() {
    let mut shop = Replicated::start(3);
    let load = pages(&shop);
    tokio::time::sleep(Duration::from_secs(2)).await;

    shop.inventories[0].kill();
    let killed = load.elapsed();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let end = load.elapsed();
    let pages = load.end().await;

    let settled = killed + Duration::from_secs(2);
    let late: Vec<_> = pages.between(settled, end).collect();
    let failed = late.iter().filter(|call| call.failure.is_some()).count();
    println!("two seconds later {failed} of {} calls failed", late.len());
    assert!(share(failed, late.len()) < 0.001, "{failed} of {} failed", late.len());
}

fn pages(shop: &Replicated) -> Load {
    let client = shop.client();
    Load::start(CALLERS, Duration::ZERO, move || {
        let mut client = client.clone();
        async move {
            let sku = "MUG-350ML-BLUE".into();
            let page = client
                .get_product(pb::GetProductRequest { sku, ..Default::default() })
                .await?
                .into_inner();
            // A page from memory would hide that the inventory failed.
            if page.degraded.iter().any(|part| part == "inventory") {
                return Err(tonic::Status::unavailable("the inventory did not answer"));
            }
            Ok(())
        }
    })
}

/// How often the rule struck, which is how often the instance was called.
fn struck(chaos: &Value) -> usize {
    chaos["chaos"][0]["struck"].as_u64().unwrap().try_into().unwrap()
}
