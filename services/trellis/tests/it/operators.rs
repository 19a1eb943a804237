//! What operators see of a running process.

use serde_json::Value;
use trellis_api::shop::v1::ListProductsRequest;
use trellis_api::shop::v1::shop_service_client::ShopServiceClient;
use trellis_chassis::transport;
use trellis_trellis::edges;

use crate::kit::{Shop, Topology};

/// The value of the counter with these labels, and with any others.
fn counter(metrics: &Value, name: &str, labels: &[(&str, &str)]) -> u64 {
    let series = metrics["counters"][name].as_array().unwrap();
    let named = series.iter().filter(|one| labels.iter().all(|(k, v)| one["labels"][k] == *v));
    named.map(|one| one["value"].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn operators_see_every_edge_every_instance_every_door_and_what_was_counted() {
    // The gateway and the order service, from which all calls come, are in the second.
    let shop = Shop::start(Topology::TwoProcesses);
    let mut customer = ShopServiceClient::new(transport::remote(&shop.endpoint()).unwrap());
    customer.list_products(ListProductsRequest::default()).await.unwrap();

    let seen = shop.gateway().debug("GET", "", "").await;

    let clients = seen["clients"].as_object().unwrap();
    let hidden: Vec<_> =
        edges::all().into_iter().filter(|(name, _)| !clients.contains_key(*name)).collect();
    assert!(hidden.is_empty(), "{hidden:?} in {:?}", clients.keys());
    assert!(clients.values().all(|client| client["breaker"]["state"] == "closed"), "{seen:#}");

    let instances = |edge: &str| &clients[edge]["endpoints"]["endpoints"];
    let inventory = &instances("gateway.inventory")[0];
    assert_eq!((&inventory["state"], &inventory["available"]), (&"healthy".into(), &true.into()));
    assert_eq!(inventory["address"], shop.processes[0].address);
    assert!(inventory["latency_ms"].as_f64().unwrap() > 0.0, "{inventory:#}");
    assert!(instances("gateway.user").is_null(), "it runs in the same process");

    let door = &seen["servers"]["door"];
    assert_eq!((&door["limiter"]["limit"], &door["waiting"]), (&256.into(), &0.into()));
    assert_eq!(door["limiter"]["inflight"], 0);

    let metrics = &seen["metrics"]["all"];
    let labels = [("target", "gateway.inventory"), ("code", "OK")];
    assert_eq!(counter(metrics, "resilience_calls_total", &labels), 1);
    assert_eq!(metrics["folded"], 0);
}
