//! What customers did is seen by their next calls.

use http::Method;
use trellis_api::shop::v1 as pb;

use super::peers::WRITTEN;
use super::shop::{Shop, signed_in};

const TOKEN: &str = "consistency-token";

/// Puts something into the cart over gRPC, and answers the token that came with it.
async fn fill(shop: &Shop) -> String {
    let request = pb::SetCartItemRequest { sku: "MUG".to_owned(), quantity: 1 };
    let answer = shop.client.clone().set_cart_item(signed_in(request)).await.unwrap();
    answer.metadata().get(TOKEN).unwrap().to_str().unwrap().to_owned()
}

/// Looks into the cart, and says what that had to see.
async fn needed(shop: &Shop, headers: &[(&'static str, &str)]) -> Option<String> {
    let mut request = signed_in(pb::GetCartRequest::default());
    for (name, value) in headers {
        request.metadata_mut().insert(*name, value.parse().unwrap());
    }
    shop.client.clone().get_cart(request).await.unwrap();
    shop.peers.state().needed.map(|needed| needed.to_string())
}

#[tokio::test]
async fn a_customers_next_call_through_a_gateway_sees_what_they_wrote() {
    let shop = Shop::new();
    assert_eq!(needed(&shop, &[]).await, None);

    fill(&shop).await;

    assert_eq!(needed(&shop, &[]).await, Some(WRITTEN.to_string()));
    assert_eq!(shop.get("/v1/cart").await.status, 200);
    assert_eq!(shop.peers.state().needed, Some(WRITTEN));
}

#[tokio::test]
async fn a_client_that_shows_its_token_is_understood_by_another_gateway() {
    let (one, other) = (Shop::new(), Shop::new());
    let token = fill(&one).await;

    assert_eq!(needed(&other, &[(TOKEN, &token)]).await, Some(WRITTEN.to_string()));
}

#[tokio::test]
async fn the_token_goes_through_http_too() {
    let (one, other) = (Shop::new(), Shop::new());
    let body = r#"{"quantity": 1}"#;
    let filled = one.http(Method::PUT, "/v1/cart/items/MUG", &[], body).await;
    assert_eq!(filled.status, 200, "{filled:?}");
    let token = filled.headers[TOKEN].to_str().unwrap();

    let seen = other.http(Method::GET, "/v1/cart", &[(TOKEN, token)], "").await;

    assert_eq!(seen.status, 200);
    assert_eq!(other.peers.state().needed, Some(WRITTEN));
}

#[tokio::test]
async fn what_a_client_makes_up_is_not_believed() {
    let shop = Shop::new();

    for made_up in [(TOKEN, "b3JkZXIvMDo5OkZG"), ("trellis-consistency", "order/0:9:FF")] {
        assert_eq!(needed(&shop, &[made_up]).await, None, "{made_up:?}");
    }
}
