//! What is shown, which is kept at hand, and what decides, which is not.

use std::sync::Arc;
use std::time::Duration;

use trellis_api::inventory::v1 as pb;
use trellis_api::inventory::v1::inventory_service_client::InventoryServiceClient;
use trellis_cache::{Caches, Redis};
use trellis_chassis::transport::Roads;
use trellis_chassis::{Clock, Shutdown, Transport, transport};
use trellis_inventory::{Needs, Settings};
use trellis_telemetry::Metrics;

use crate::fixture::{Stockroom, import};
use crate::kit;

/// What a page shows: the title, and how many there are.
async fn shown(
    client: &InventoryServiceClient<Transport>,
    sku: &str,
    for_display: bool,
) -> Option<(String, i64)> {
    let request = pb::BatchGetProductsRequest { skus: vec![sku.to_owned()], for_display };
    let found = client.clone().batch_get_products(request).await.unwrap().into_inner();
    let stocked = found.products.into_iter().next()?;
    Some((stocked.product.unwrap().title, stocked.available))
}

fn titled(sku: &str, title: &str, on_hand: i64) -> pb::ProductImport {
    let mut import = import(sku, on_hand);
    title.clone_into(&mut import.product.as_mut().unwrap().title);
    import
}

#[tokio::test]
async fn what_was_just_changed_is_shown_at_once() {
    let mut room = Stockroom::empty().await;
    assert_eq!(shown(&room.client, "MUG", true).await, None);

    room.import(vec![titled("MUG", "A mug", 10)]).await.unwrap();
    assert_eq!(shown(&room.client, "MUG", true).await, Some(("A mug".into(), 10)));
    room.import(vec![titled("MUG", "A better mug", 20)]).await.unwrap();
    assert_eq!(shown(&room.client, "MUG", true).await, Some(("A better mug".into(), 20)));

    let id = kit::new_id();
    room.reserve(id, &[("MUG", 3)]).await.unwrap();
    assert_eq!(shown(&room.client, "MUG", true).await.unwrap().1, 17);
    room.release(id).await.unwrap();
    assert_eq!(shown(&room.client, "MUG", true).await.unwrap().1, 20);
}

#[tokio::test]
async fn what_decides_is_never_what_was_kept() {
    let room = Stockroom::with(&[("MUG", 10)]).await;
    assert_eq!(shown(&room.client, "MUG", true).await.unwrap().1, 10);
    // As another process would, of which nothing is heard.
    kit::stock(room.store.as_ref(), &[("MUG", 7)]).await;

    assert_eq!(shown(&room.client, "MUG", true).await.unwrap().1, 10);
    assert_eq!(shown(&room.client, "MUG", false).await, Some(("A thing".into(), 7)));
    room.clock.advance(Duration::from_secs(1));
    assert_eq!(shown(&room.client, "MUG", true).await.unwrap().1, 7);
}

#[tokio::test]
async fn many_products_are_shown_in_the_order_in_which_they_are_named() {
    let names: Vec<String> = (0..40).map(|number| format!("SKU-{number:02}")).collect();
    let mut room = Stockroom::empty().await;
    room.import(names.iter().map(|name| import(name, 1)).collect()).await.unwrap();
    for count in [3, 40] {
        let mut skus: Vec<String> = names[..count].to_vec();
        skus.reverse();
        skus.insert(1, "NOTHING".to_owned());
        let request = pb::BatchGetProductsRequest { skus: skus.clone(), for_display: true };
        let found = room.client.batch_get_products(request).await.unwrap().into_inner().products;
        let found = found.into_iter().map(|stocked| stocked.product.unwrap().sku);
        skus.remove(1);
        assert_eq!(found.collect::<Vec<_>>(), skus);
    }
}

#[tokio::test]
async fn what_one_process_changes_another_shows_once_it_has_heard_of_it() {
    let Some(server) = trellis_testkit::Redis::start().await else { return };
    let room = Stockroom::with(&[("MUG", 10)]).await;
    let (one, other) = (over(&server, &room).await, over(&server, &room).await);
    for client in [&one, &other] {
        assert!(shown(client, "MUG", true).await.is_some());
    }

    let products = vec![titled("MUG", "A better mug", 10)];
    let request = pb::UpsertProductsRequest { products };
    one.clone().upsert_products(request).await.unwrap();

    assert_eq!(shown(&one, "MUG", true).await.unwrap().0, "A better mug");
    let heard = async {
        while shown(&other, "MUG", true).await.unwrap().0 != "A better mug" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), heard).await.expect("it is heard of");
}

/// Another process over the same records, which listens to Redis.
async fn over(
    server: &trellis_testkit::Redis,
    room: &Stockroom,
) -> InventoryServiceClient<Transport> {
    let redis = Redis::new("redis", server.url().parse().unwrap(), Roads::new().registry());
    let (redis, shutdown) = (redis.unwrap(), Shutdown::default());
    redis.follow(&shutdown);
    while !redis.is_listening() {
        tokio::task::yield_now().await;
    }
    let clock: Arc<dyn Clock> = Arc::new(room.clock.clone());
    let caches = Caches::new(Some(redis), Arc::clone(&clock), Metrics::default(), shutdown.clone());
    let needs = Needs { store: Arc::clone(&room.store), clock, caches };
    let routes = trellis_inventory::start(&Settings::default(), needs, &shutdown).await.unwrap();
    InventoryServiceClient::new(transport::local(routes))
}
