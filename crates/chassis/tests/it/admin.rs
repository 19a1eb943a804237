//! The machinery around a process is told the truth.

use std::net::SocketAddr;
use std::time::Duration;

use trellis_chassis::admin::{self, Readiness};
use trellis_chassis::transport::Roads;
use trellis_chassis::{Shutdown, listen};

use crate::probe::{get, get_as};

async fn admin(readiness: &Readiness, shutdown: &Shutdown) -> SocketAddr {
    let listener = listen::bind("127.0.0.1:0", "TRELLIS_ADMIN_LISTEN").await.unwrap();
    let address = listener.local_addr().unwrap();
    let roads = Roads::new();
    let metrics = Some(roads.metrics().clone());
    admin::serve(listener, readiness.clone(), roads.registry().clone(), metrics, shutdown);
    address
}

#[tokio::test]
async fn a_process_is_ready_when_all_that_it_needs_is_there() {
    let readiness = Readiness::default();
    let (migrations, catalogue) = (readiness.expect("migrations"), readiness.expect("catalogue"));
    let address = admin(&readiness, &Shutdown::default()).await;

    let answer = get(address, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.ends_with("not ready: migrations, catalogue\n"), "{answer}");

    migrations.open();
    catalogue.open();
    assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));

    catalogue.close();
    assert!(get(address, "/readyz").await.ends_with("not ready: catalogue\n"));
}

#[tokio::test]
async fn a_process_that_leaves_lives_and_is_not_ready() {
    let shutdown = Shutdown::new(Duration::from_hours(1));
    let address = admin(&Readiness::default(), &shutdown).await;

    shutdown.request();

    let answer = get(address, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.ends_with("leaving\n"), "{answer}");
    assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn operators_see_breakers_and_chaos() {
    let address = admin(&Readiness::default(), &Shutdown::default()).await;

    let all = get(address, "/debug/resilience").await;
    assert!(all.starts_with("HTTP/1.1 200"), "{all}");
    let chaos = get(address, "/debug/resilience/chaos").await;
    assert!(chaos.ends_with(r#"{"chaos":[]}"#), "{chaos}");
    let nothing = get(address, "/debug/resilience/nothing").await;
    assert!(nothing.starts_with("HTTP/1.1 404"), "{nothing}");
}

#[tokio::test]
async fn prometheus_gets_the_format_that_it_asks_for() {
    let listener = listen::bind("127.0.0.1:0", "TRELLIS_ADMIN_LISTEN").await.unwrap();
    let address = listener.local_addr().unwrap();
    let roads = Roads::new();
    let (metrics, registry) = (roads.metrics().clone(), roads.registry().clone());
    metrics.watch_process();
    let shutdown = Shutdown::default();
    admin::serve(listener, Readiness::default(), registry, Some(metrics), &shutdown);

    let plain = get(address, "/metrics").await.to_lowercase();
    assert!(plain.contains("content-type: text/plain; version=0.0.4"), "{plain}");
    assert!(plain.contains("\nprocess_uptime_seconds "), "{plain}");

    let kinds = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3";
    let open = get_as(address, "/metrics", kinds).await.to_lowercase();
    assert!(open.contains("content-type: application/openmetrics-text; version=1.0.0"), "{open}");
    assert!(open.trim_end().ends_with("# eof"), "{open}");
}
