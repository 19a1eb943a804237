//! What operators see of a running process.

use trellis_api::shop::v1::ListProductsRequest;
use trellis_api::shop::v1::shop_service_client::ShopServiceClient;
use trellis_chassis::transport;
use trellis_trellis::edges;

use crate::kit::{Shop, Topology};

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

    let metrics = shop.gateway().metrics().await;
    for series in [
        r#"resilience_calls_total{target="gateway.inventory",method="trellis.inventory.v1.InventoryService/ListProducts",code="OK",origin="remote"} 1"#,
        r#"rpc_client_call_duration_seconds_count{peer="gateway.inventory",rpc_method="trellis.inventory.v1.InventoryService/ListProducts",rpc_response_status_code="OK"} 1"#,
        r#"rpc_server_call_duration_seconds_count{rpc_method="trellis.shop.v1.ShopService/ListProducts",rpc_response_status_code="OK"} 1"#,
        r#"resilience_limit{server="door"} 256"#,
        r#"target_info{service_name="trellis","#,
    ] {
        assert!(metrics.contains(series), "{series} is not in\n{metrics}");
    }
}
