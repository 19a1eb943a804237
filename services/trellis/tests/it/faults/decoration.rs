//! A product page without the service that only decorates it.

use std::time::Duration;

use tokio::time::sleep;
use trellis_api::shop::v1 as pb;
use trellis_api::shop::v1::shop_service_client::ShopServiceClient;
use trellis_chassis::transport::Transport;

use crate::kit::load::{Calls, Load, median};
use crate::kit::{Shop, Topology};

const CALLERS: usize = 8;
/// How often it is killed; between, it is there again, so that a machine which gets
/// slower meanwhile does not decide.
const ROUNDS: usize = 4;
const WATCHED: Duration = Duration::from_secs(2);
/// How long they may take to come back.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn product_pages_stay_when_the_recommendation_service_is_killed() {
    let mut shop = Shop::start(Topology::Fleet);
    let client = shop.client();
    let load = Load::start(CALLERS, Duration::ZERO, {
        let client = client.clone();
        move || {
            let mut client = client.clone();
            async move { page(&mut client).await.map(drop) }
        }
    });
    let (mut with, mut without) = (Vec::new(), Vec::new());
    sleep(WATCHED).await;
    for _ in 0..ROUNDS {
        with.push(watched(&load).await);
        shop.process("recommendation").kill();
        // From the very moment on.
        without.push(watched(&load).await);
        let page = page(&mut client.clone()).await.unwrap();
        assert_eq!(page.degraded, ["recommendations"]);
        tokio::task::block_in_place(|| shop.process("recommendation").restart());
        let whole = until_whole(client.clone());
        tokio::time::timeout(PATIENCE, whole).await.expect("recommendations are back");
    }
    let pages = load.end().await;

    let (with, without) = (usual_p99(&pages, &with), usual_p99(&pages, &without));
    let ratio = without.as_secs_f64() / with.as_secs_f64();
    println!(
        "{} of {} pages failed; p99 {with:.1?} with recommendations, and {ratio:.2} times that without",
        pages.failures().len(),
        pages.0.len(),
    );
    assert!(0.999 <= pages.success(), "{:?}", pages.failures());
    assert!(ratio <= 1.1, "{without:?} without, and {with:?} with");
}

async fn page(
    client: &mut ShopServiceClient<Transport>,
) -> Result<pb::GetProductResponse, tonic::Status> {
    let request = pb::GetProductRequest { sku: "MUG-350ML-BLUE".into(), ..Default::default() };
    client.get_product(request).await.map(tonic::Response::into_inner)
}

/// Comes back when pages have everything again.
async fn until_whole(mut client: ShopServiceClient<Transport>) {
    while !page(&mut client).await.unwrap().degraded.is_empty() {}
}

/// From when to when the load was watched.
async fn watched(load: &Load) -> (Duration, Duration) {
    let from = load.elapsed();
    sleep(WATCHED).await;
    (from, load.elapsed())
}

fn usual_p99(pages: &Calls, times: &[(Duration, Duration)]) -> Duration {
    median(times.iter().flat_map(|(from, to)| pages.p99_of_slices(*from, *to)))
}
