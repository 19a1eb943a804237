//! What a customer is shown.

use tonic::Code;
use trellis_api::error;

use crate::kit::Service;

#[tokio::test]
async fn what_others_bought_with_it_comes_first() {
    let service = Service::start().await;
    service.bought(&["MUG", "TEA"]).await;
    service.bought(&["MUG", "TEA", "SPOON"]).await;
    service.bought(&["LAMP"]).await;

    assert_eq!(service.recommend(&["MUG"], 0).await, ["TEA", "SPOON", "LAMP"]);
    assert_eq!(service.recommend(&["MUG", "TEA"], 1).await, ["SPOON"]);
}

#[tokio::test]
async fn who_shows_no_interest_is_shown_what_is_in_demand() {
    let service = Service::start().await;
    service.bought(&["MUG", "TEA"]).await;
    service.bought(&["MUG"]).await;
    service.looked_at("LAMP", 15).await;

    assert_eq!(service.recommend(&[], 10).await, ["MUG", "LAMP", "TEA"]);
    assert_eq!(service.recommend(&[], 1).await, ["MUG"]);
}

#[tokio::test]
async fn a_shop_on_its_first_day_has_nothing_to_suggest() {
    let service = Service::start().await;

    assert!(service.recommend(&[], 0).await.is_empty());
    assert!(service.recommend(&["MUG"], 0).await.is_empty());

    service.looked_at("LAMP", 1).await;
    assert_eq!(service.recommend(&["MUG"], 0).await, ["LAMP"]);
}

#[tokio::test]
async fn ten_are_shown_when_nobody_says_how_many() {
    let service = Service::start().await;
    let skus: Vec<String> = (10..30).map(|number| format!("SKU-{number}")).collect();
    let skus: Vec<&str> = skus.iter().map(String::as_str).collect();
    service.bought(&skus).await;

    assert_eq!(service.recommend(&[], 0).await, skus[..10]);
    assert_eq!(service.recommend(&[], 100).await, skus);
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_refused_by_field() {
    let service = Service::start().await;

    for (skus, page_size, named) in [
        (vec!["MUG"; 51], 0, "skus must be at most 50"),
        (vec!["MUG", "a mug"], 0, "skus[1] must be"),
        (vec![], 101, "page_size must be"),
        (vec![""], -1, "; page_size must be"),
    ] {
        let refused = service.try_recommend(&skus, page_size).await.unwrap_err();

        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(error::reason(&refused).as_deref(), Some("INVALID_FIELD"));
        assert!(refused.message().contains(named), "{}", refused.message());
    }
    assert!(service.try_recommend(&["MUG"; 50], 100).await.is_ok());
}
