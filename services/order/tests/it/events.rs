//! What the service tells others, and what it hears.

use prost::Message as _;
use trellis_api::event::v1 as pb;
use trellis_api::event::v1::delivery_outcome::Verdict;
use trellis_api::order::v1::{GetCartRequest, SetCartItemRequest};
use trellis_chassis::Clock as _;
use trellis_events::event;

use super::shop::Shop;

async fn put_mug(shop: &Shop) {
    let user_id = shop.ground.user_id.to_string();
    let request = SetCartItemRequest { user_id, sku: "MUG".to_owned(), quantity: 1 };
    shop.orders.clone().set_cart_item(request).await.unwrap();
}

async fn lines(shop: &Shop) -> usize {
    let user_id = shop.ground.user_id.to_string();
    let cart = shop.orders.clone().get_cart(GetCartRequest { user_id }).await.unwrap();
    cart.into_inner().cart.unwrap().items.len()
}

async fn deliver(shop: &Shop, event: pb::Event, attempt: i32) -> Verdict {
    let delivery = pb::Delivery { event: Some(event), attempt };
    let request = pb::DeliverEventsRequest { deliveries: vec![delivery] };
    let response = shop.consumer.clone().deliver_events(request).await.unwrap().into_inner();
    response.outcomes[0].verdict()
}

#[tokio::test]
async fn a_sale_is_announced_with_what_was_bought() {
    let shop = Shop::new().await;
    let order = shop.buy("tok_ok").await;

    let event = shop.ground.heard.heard("order.confirmed").await;

    let confirmed = pb::OrderConfirmed::decode(event.payload).unwrap();
    assert_eq!(event.subject, order.order_id);
    assert_eq!((confirmed.order_id, confirmed.user_id), (order.order_id, order.user_id));
    assert_eq!(confirmed.items, [pb::EventItem { sku: "MUG".to_owned(), quantity: 2 }]);
    assert_eq!(confirmed.total, order.total);
}

#[tokio::test]
async fn a_deleted_user_loses_the_cart_once() {
    let shop = Shop::new().await;
    let user_id = shop.ground.user_id;
    let payload = pb::UserDeleted { user_id: user_id.to_string() };
    let now = shop.ground.clock.now();
    let deleted = event(now, user_id.bucket(), "user.deleted", user_id.to_string(), &payload);
    put_mug(&shop).await;

    assert_eq!(deliver(&shop, deleted.clone(), 1).await, Verdict::Done);
    assert_eq!(lines(&shop).await, 0);

    put_mug(&shop).await;
    assert_eq!(deliver(&shop, deleted, 2).await, Verdict::Done);
    assert_eq!(lines(&shop).await, 1);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_becomes_a_dead_letter() {
    let shop = Shop::new().await;
    let user_id = shop.ground.user_id;
    let payload = pb::UserDeleted { user_id: "nobody".to_owned() };
    let now = shop.ground.clock.now();
    let unreadable = event(now, user_id.bucket(), "user.deleted", "nobody", &payload);

    assert_eq!(deliver(&shop, unreadable.clone(), 1).await, Verdict::Done);

    let letters = shop
        .consumer
        .clone()
        .list_dead_letters(pb::ListDeadLettersRequest { page_size: 0 })
        .await
        .unwrap()
        .into_inner()
        .dead_letters;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].event.as_ref().unwrap().event_id, unreadable.event_id);
}
