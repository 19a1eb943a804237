//! Product pages whose suggestions cannot be had.

use std::time::Duration;

use tokio::time::Instant;
use tonic::{Code, Request};
use trellis_api::error::reason;
use trellis_api::shop::v1 as pb;

use super::peers::{Call, Fault};
use super::shop::{Shop, may_be_kept, within};

const PATIENCE: Duration = Duration::from_millis(250);

#[tokio::test(start_paused = true)]
async fn a_page_is_a_product_and_what_goes_with_it() {
    let shop = Shop::new();

    let page = shop.page("MUG").await.unwrap();

    assert!(may_be_kept(&page));
    let page = page.into_inner();
    assert_eq!((page.product.unwrap().sku.as_str(), page.available), ("MUG", 10));
    let suggested: Vec<_> = page.recommendations.into_iter().map(|product| product.sku).collect();
    assert_eq!(suggested, ["TEA", "JAR"]);
    assert!(page.degraded.is_empty());
}

#[tokio::test(start_paused = true)]
async fn whatever_goes_wrong_with_suggestions_the_page_stands_and_says_so_in_time() {
    let shop = Shop::new();
    // What could be remembered is no excuse for showing old beside new.
    shop.page("MUG").await.unwrap();
    let faults = [
        Fault::of(Code::Unavailable),
        Fault::of(Code::DeadlineExceeded),
        Fault::of(Code::ResourceExhausted),
        Fault::of(Code::Internal),
        Fault::of(Code::Unimplemented),
        Fault::Slow(PATIENCE + Duration::from_millis(1)),
        Fault::Silent,
    ];
    for call in [Call::Recommend, Call::Product("JAR")] {
        for fault in &faults {
            shop.peers.break_down(call, fault.clone());
            let start = Instant::now();

            let page = shop.page("MUG").await.unwrap();

            assert!(start.elapsed() <= PATIENCE, "{call:?} {fault:?} {:?}", start.elapsed());
            assert!(!may_be_kept(&page));
            let page = page.into_inner();
            assert_eq!(page.degraded, ["recommendations"], "{call:?} {fault:?}");
            assert_eq!((page.product.unwrap().sku.as_str(), page.available), ("MUG", 10));
            assert!(page.recommendations.is_empty());
        }
        shop.peers.mend();
    }
    assert!(shop.page("MUG").await.unwrap().into_inner().degraded.is_empty());
}

#[tokio::test(start_paused = true)]
async fn asking_and_looking_up_share_one_patience() {
    let shop = Shop::new();
    shop.peers.break_down(Call::Recommend, Fault::Slow(Duration::from_millis(200)));
    shop.peers.break_down(Call::Product("TEA"), Fault::Slow(Duration::from_millis(100)));
    let start = Instant::now();

    let page = shop.page("MUG").await.unwrap().into_inner();

    assert_eq!(start.elapsed(), PATIENCE);
    assert_eq!(page.degraded, ["recommendations"]);

    // Inside of it, both may be slow.
    shop.peers.break_down(Call::Product("TEA"), Fault::Slow(Duration::from_millis(40)));
    let page = shop.page("MUG").await.unwrap().into_inner();
    assert!(page.degraded.is_empty());
    assert_eq!(page.recommendations.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_caller_with_little_time_gets_the_page_without_suggestions() {
    let shop = Shop::new();
    shop.peers.break_down(Call::Recommend, Fault::Silent);
    let request =
        Request::new(pb::GetProductRequest { sku: "MUG".to_owned(), ..Default::default() });

    let page = shop.client.clone().get_product(within(PATIENCE / 2, request)).await.unwrap();

    assert_eq!(page.into_inner().degraded, ["recommendations"]);
}

#[tokio::test(start_paused = true)]
async fn a_suggested_product_that_is_gone_is_left_out_and_nothing_is_missing() {
    let shop = Shop::new();
    shop.peers.state().products.remove("TEA");

    let page = shop.page("MUG").await.unwrap().into_inner();

    assert!(page.degraded.is_empty());
    assert_eq!(page.recommendations.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn suggestions_that_are_asked_for_by_themselves_fail_when_they_cannot_be_had() {
    let shop = Shop::new();
    let all = || pb::ListRecommendationsRequest::default();
    let found = shop.client.clone().list_recommendations(all()).await.unwrap().into_inner();
    assert_eq!(found.products.len(), 2);
    for call in [Call::Recommend, Call::Product("TEA")] {
        shop.peers.break_down(call, Fault::of(Code::Unavailable));

        let failed = shop.client.clone().list_recommendations(all()).await.unwrap_err();

        assert_eq!(failed.code(), Code::Unavailable, "{call:?}");
        assert_eq!(reason(&failed).as_deref(), Some("ON_PURPOSE"));
        shop.peers.mend();
    }
}
