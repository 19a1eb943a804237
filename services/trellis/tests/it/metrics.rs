//! What a shop counts is what the documentation says that it counts.

use std::collections::BTreeSet;

use trellis_api::shop::v1 as pb;
use trellis_api::shop::v1::get_product_request::Source;

use crate::kit::{Shop, Topology, purchase};

/// What is counted with `TRELLIS_NATS` only.
const OF_A_BROKER: [&str; 5] = [
    "messaging_client_operation_duration_seconds",
    "trellis_events_pending",
    "trellis_events_redeliveries_total",
    "trellis_events_unacknowledged",
    "trellis_events_unreadable_total",
];

/// What is counted of databases with replicas only.
const OF_REPLICAS: [&str; 8] = [
    "trellis_storage_failovers_total",
    "trellis_storage_fallback_refusals_total",
    "trellis_storage_primary_known",
    "trellis_storage_reads_total",
    "trellis_storage_replica_delay_seconds",
    "trellis_storage_replica_ejections_total",
    "trellis_storage_replica_lag_bytes",
    "trellis_storage_replica_usable",
];

#[tokio::test]
async fn every_metric_of_a_shop_is_documented_and_every_documented_one_is_shown() {
    let shop = Shop::start(Topology::OneProcess);
    let customer = shop.customer().await;
    customer.checkout(purchase("MUG-350ML-BLUE", 1)).await.unwrap();
    assert_eq!(shop.json().get("/v1/products?query=mug").await.status, 200);

    let shown = families(&shop.gateway().metrics().await);
    let documented = documented(include_str!("../../../../docs/observability.md"));
    let readme = include_str!("../../../../crates/resilience/README.md");
    let resilience: BTreeSet<String> = readme.lines().filter_map(name_of_resilience).collect();
    assert!(resilience.len() > 20 && documented.len() > 30, "{resilience:?} {documented:?}");

    let known: BTreeSet<_> = documented.union(&resilience).cloned().collect();
    let unknown: Vec<_> = shown.difference(&known).collect();
    assert!(unknown.is_empty(), "not documented: {unknown:?}");
    let missing: Vec<_> = documented
        .difference(&shown)
        // It counts what was given back, and nothing was.
        .filter(|name| *name != "trellis_shop_refunds_minor_units_total")
        // There is no broker.
        .filter(|name| !OF_A_BROKER.contains(&name.as_str()))
        // There is one server at the most.
        .filter(|name| !OF_REPLICAS.contains(&name.as_str()))
        .collect();
    assert!(missing.is_empty(), "documented, but not shown: {missing:?}");
}

#[tokio::test]
async fn a_click_on_a_recommendation_is_told_over_grpc_and_over_http() {
    let shop = Shop::start(Topology::OneProcess);
    let sku = "MUG-350ML-BLUE".to_owned();
    let page = pb::GetProductRequest { sku, source: Source::Recommendation.into() };
    shop.client().get_product(page).await.unwrap();
    let page = "/v1/products/MUG-350ML-BLUE";
    let json = shop.json();
    for query in ["?source=SOURCE_RECOMMENDATION", "?source=SOURCE_SEARCH", ""] {
        assert_eq!(json.get(&format!("{page}{query}")).await.status, 200);
    }
    assert_eq!(json.get(&format!("{page}?source=NOWHERE")).await.status, 400);

    let metrics = shop.gateway().metrics().await;
    for line in [
        "trellis_shop_recommendation_clicks_total 2",
        r#"trellis_shop_product_views_total{source="recommendation"} 2"#,
        r#"trellis_shop_product_views_total{source="search"} 1"#,
        r#"trellis_shop_product_views_total{source="direct"} 1"#,
        r#"http_server_request_duration_seconds_count{http_request_method="GET",http_route="/v1/products/{sku}",http_response_status_code="200"} 3"#,
        r#"http_server_request_duration_seconds_count{http_request_method="GET",http_route="/v1/products/{sku}",http_response_status_code="400"} 1"#,
    ] {
        assert!(metrics.lines().any(|known| known == line), "{line} is not in\n{metrics}");
    }
}

/// The names that Prometheus sees.
fn families(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

/// The same, from the rows of the section about metrics.
fn documented(text: &str) -> BTreeSet<String> {
    let section = text.split("\n## ").find(|section| section.starts_with("The metrics")).unwrap();
    section.lines().filter_map(documented_name).collect()
}

/// A row is `| name | sort and unit | labels | meaning |`.
fn documented_name(row: &str) -> Option<String> {
    let mut cells = row.strip_prefix("| `")?.split(" | ");
    let name = cells.next()?.strip_suffix('`')?.replace('.', "_");
    let sort = cells.next()?;
    if !["counter", "gauge", "histogram"].iter().any(|known| sort.starts_with(known)) {
        return None;
    }
    let unit = match sort.split_once(", ").map(|(_, unit)| unit) {
        Some(unit) if unit.starts_with("bytes") => "_bytes",
        Some(unit) if unit.starts_with('s') => "_seconds",
        _ => "",
    };
    let total = if sort.starts_with("counter") { "_total" } else { "" };
    Some(format!("{name}{unit}{total}"))
}

fn name_of_resilience(row: &str) -> Option<String> {
    let name = row.strip_prefix("| `resilience_")?.split('`').next()?;
    Some(format!("resilience_{name}"))
}
