//! Reading orders: one, many, as they change, and as an auditor.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use time::OffsetDateTime;
use tonic::{Code, Status};
use trellis_api::error::reason;
use trellis_api::id::UserId;
use trellis_api::order::v1 as pb;
use trellis_api::order::v1::order_service_client::OrderServiceClient;
use trellis_api::shop::v1::order::State;
use trellis_chassis::{Clock as _, Shutdown, transport};
use trellis_order::Settings;
use trellis_order::domain::{Item, Order};
use trellis_order::saga::Saga;
use trellis_storage::Options;
use uuid::Uuid;

use super::ground::{customer, open_store};
use super::records::{begin, confirmed, lease, pending};
use super::shop::Shop;
use super::world::{Call, Fault};

async fn list(shop: &Shop, page_size: i32, token: &str) -> Result<pb::ListOrdersResponse, Status> {
    let request = pb::ListOrdersRequest {
        user_id: shop.ground.user_id.to_string(),
        page_size,
        page_token: token.to_owned(),
    };
    shop.orders.clone().list_orders(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn an_order_is_nobody_elses_business() {
    let shop = Shop::new().await;
    let order_id = shop.buy("tok_ok").await.order_id;
    let user_id = customer().to_string();
    let mut orders = shop.orders.clone();

    let get = pb::GetOrderRequest { user_id: user_id.clone(), order_id: order_id.clone() };
    let watch = pb::WatchOrderRequest { user_id: user_id.clone(), order_id: order_id.clone() };
    let request_id = Uuid::new_v4().to_string();
    let cancel = pb::CancelOrderRequest { user_id: user_id.clone(), order_id, request_id };
    let refusals = [
        orders.get_order(get).await.map(drop).unwrap_err(),
        orders.watch_order(watch).await.map(drop).unwrap_err(),
        orders.cancel_order(cancel).await.map(drop).unwrap_err(),
    ];

    for refused in refusals {
        assert_eq!(refused.code(), Code::NotFound);
        assert_eq!(reason(&refused).as_deref(), Some("ORDER_NOT_FOUND"));
    }
    let list = pb::ListOrdersRequest { user_id, ..Default::default() };
    assert!(orders.list_orders(list).await.unwrap().into_inner().orders.is_empty());
    assert_eq!(shop.all_orders().await[0].state(), State::Confirmed);
}

#[tokio::test]
async fn orders_are_listed_newest_first_in_pages_without_gaps() {
    let shop = Shop::new().await;
    let mut bought = Vec::new();
    for number in 0..7 {
        // Some share their time to the microsecond.
        shop.advance(Duration::from_millis(number % 2));
        bought.push(shop.buy("tok_ok").await.order_id);
    }

    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let page = list(&shop, 3, &token).await.unwrap();
        assert!(page.orders.len() <= 3);
        seen.extend(page.orders);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }

    let times: Vec<_> = seen
        .iter()
        .map(|order| order.create_time.map(|time| (time.seconds, time.nanos)).unwrap())
        .collect();
    assert!(times.is_sorted_by(|newer, older| older <= newer), "{times:?}");
    let mut seen: Vec<_> = seen.into_iter().map(|order| order.order_id).collect();
    seen.sort();
    bought.sort();
    assert_eq!(seen, bought);
}

#[tokio::test]
async fn orders_that_are_too_large_for_one_message_come_in_several() {
    let shop = Shop::new().await;
    let now = shop.ground.clock.now();
    let mut kept = Vec::new();
    for _ in 0..4 {
        let order = largest(shop.ground.user_id, now);
        kept.push(order.order_id.to_string());
        let saga = Saga::checkout(order, "tok_ok".parse().unwrap(), false);
        begin(&*shop.store, &saga, lease(now)).await;
    }
    kept.sort();

    let (mut listed, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = list(&shop, 100, &token).await.unwrap();
        listed.extend(page.orders.into_iter().map(|order| order.order_id));
        (token, pages) = (page.next_page_token, pages + 1);
        if token.is_empty() {
            break;
        }
    }
    listed.sort();
    let parts = shop.orders.clone().audit_orders(pb::AuditOrdersRequest {}).await.unwrap();
    let parts: Vec<_> = parts.into_inner().try_collect().await.unwrap();
    let audited: Vec<_> = parts.into_iter().flat_map(|part| part.orders).collect();
    let audited: Vec<_> = audited.into_iter().map(|it| it.order.unwrap().order_id).collect();

    assert_eq!((pages, &listed, &audited), (4, &kept, &kept));
}

/// A thousand lines with the longest of titles.
fn largest(user_id: UserId, now: OffsetDateTime) -> Order {
    let order = pending(user_id, now);
    let title = "\u{1f375}".repeat(200);
    let line = |number| Item {
        sku: format!("SKU-{number:028}").parse().unwrap(),
        title: title.clone(),
        ..order.items[0].clone()
    };
    Order { items: (0..1_000).map(line).collect(), ..order }
}

#[tokio::test]
async fn a_page_token_serves_only_the_customer_it_was_made_for() {
    let shop = Shop::new().await;
    shop.buy("tok_ok").await;
    shop.buy("tok_ok").await;
    let token = list(&shop, 1, "").await.unwrap().next_page_token;
    let user_id = customer().to_string();

    let foreign = pb::ListOrdersRequest { user_id, page_size: 1, page_token: token };
    let foreign = shop.orders.clone().list_orders(foreign).await.unwrap_err();

    for refused in [
        foreign,
        list(&shop, 1, "garbage").await.unwrap_err(),
        list(&shop, 101, "").await.unwrap_err(),
        list(&shop, -1, "").await.unwrap_err(),
    ] {
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(reason(&refused).as_deref(), Some("INVALID_FIELD"));
    }
}

#[tokio::test]
async fn a_watcher_sees_each_state_until_the_final_one() {
    let shop = Shop::new().await;
    let gate = shop.world().gate(Call::Authorize);
    let order = shop.begin("tok_ok").await;
    let user_id = shop.ground.user_id.to_string();
    let request = pb::WatchOrderRequest { user_id, order_id: order.order_id };
    let mut stream = shop.orders.clone().watch_order(request).await.unwrap().into_inner();
    let state = |next: Option<Result<pb::WatchOrderResponse, Status>>| {
        next.map(|response| response.unwrap().order.unwrap().state())
    };

    assert_eq!(state(stream.next().await), Some(State::Pending));
    gate.open();
    assert_eq!(state(stream.next().await), Some(State::Confirmed));
    assert_eq!(state(stream.next().await), None);
}

#[tokio::test]
async fn watching_a_final_order_shows_it_once() {
    let shop = Shop::new().await;
    let order = shop.buy("tok_ok").await;

    assert_eq!(shop.watch(&order.order_id).await, [State::Confirmed]);
}

#[tokio::test]
async fn a_watcher_also_sees_what_another_process_does() {
    let shop = Shop::new().await;
    let now = shop.ground.clock.now();
    let order = pending(shop.ground.user_id, now);
    let order_id = order.order_id.to_string();
    let saga = Saga::checkout(order, "tok_ok".parse().unwrap(), false);
    begin(&*shop.store, &saga, lease(now)).await;
    let end = async {
        let ended = shop.store.end(saga.hold(), confirmed(&saga, now)).await.unwrap();
        assert!(ended.is_some());
    };

    let (states, ()) = tokio::join!(shop.watch(&order_id), end);

    assert_eq!(states.last(), Some(&State::Confirmed));
}

#[tokio::test]
async fn a_watcher_of_a_stopping_server_is_sent_elsewhere() {
    let shop = Shop::new().await;
    let gate = shop.world().gate(Call::Authorize);
    let order = shop.begin("tok_ok").await;
    let user_id = shop.ground.user_id.to_string();
    let request = pb::WatchOrderRequest { user_id, order_id: order.order_id };
    let mut stream = shop.orders.clone().watch_order(request).await.unwrap().into_inner();
    stream.next().await.unwrap().unwrap();
    let last = async {
        let last = stream.next().await.unwrap();
        gate.open();
        last
    };

    let (_, last) = tokio::join!(shop.stop(), last);

    assert_eq!(last.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn the_audit_shows_every_order_and_what_is_at_work_on_it() {
    let shop = Shop::new().await;
    let done = shop.buy("tok_ok").await.order_id;
    shop.world().break_down(Call::Authorize, Fault::Unavailable);
    let waiting = shop.begin("tok_ok").await.order_id;

    let parts = shop.orders.clone().audit_orders(pb::AuditOrdersRequest {}).await.unwrap();
    let parts: Vec<_> = parts.into_inner().try_collect().await.unwrap();

    assert_eq!(parts[0].checks.len(), 5);
    assert!(parts[1..].iter().all(|part| part.checks.is_empty()));
    let mut orders: Vec<_> = parts.into_iter().flat_map(|part| part.orders).collect();
    orders.sort_by_key(|audited| audited.in_progress);
    let ids: Vec<_> = orders.iter().map(|o| o.order.clone().unwrap().order_id).collect();
    assert_eq!(ids, [done, waiting]);
    assert_eq!((orders[0].in_progress, orders[0].next_attempt_time), (false, None));
    assert!(orders[1].in_progress && orders[1].next_attempt_time.is_some());
}

#[tokio::test]
async fn records_can_be_audited_beside_a_running_shop_by_one_that_never_begins() {
    let shop = Shop::new().await;
    let order = shop.buy("tok_ok").await;
    let options = Options { read_only: true, ..Options::default() };
    let store = open_store(&shop.ground.database, &options).await;
    let stopped = Shutdown::default();
    stopped.request();
    let needs = shop.ground.needs(&store);
    let routes = trellis_order::start(&Settings::default(), needs, &stopped).await.unwrap();
    let mut beside = OrderServiceClient::new(transport::local(routes));

    let parts = beside.audit_orders(pb::AuditOrdersRequest {}).await.unwrap().into_inner();
    let parts: Vec<_> = parts.try_collect().await.unwrap();

    assert_eq!(parts[1].orders[0].order, Some(order));
    stopped.finish(Duration::from_secs(10)).await.expect("no task has tried to write");
}
