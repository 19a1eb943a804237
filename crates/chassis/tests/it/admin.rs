//! The machinery around a process is told the truth.

use std::net::SocketAddr;
use std::time::Duration;

use tracing::{Dispatch, Level, dispatcher};
use trellis_chassis::admin::{self, Admin, Readiness};
use trellis_chassis::transport::Roads;
use trellis_chassis::{Shutdown, listen};
use trellis_telemetry::{Format, LogLevels, Settings};

use crate::probe::{get, get_as, put};

async fn admin(readiness: &Readiness, shutdown: &Shutdown) -> SocketAddr {
    serve(readiness, logging().1, shutdown).await
}

async fn serve(readiness: &Readiness, levels: LogLevels, shutdown: &Shutdown) -> SocketAddr {
    let listener = listen::bind("127.0.0.1:0", "TRELLIS_ADMIN_LISTEN").await.unwrap();
    let address = listener.local_addr().unwrap();
    let roads = Roads::new();
    let metrics = roads.metrics().clone();
    metrics.watch_process();
    let admin = Admin {
        readiness: readiness.clone(),
        registry: roads.registry().clone(),
        levels,
        metrics: Some(metrics),
    };
    admin::serve(listener, admin, shutdown);
    address
}

fn logging() -> (Dispatch, LogLevels) {
    let built = trellis_telemetry::build("test", &Settings::default(), Format::Json, std::io::sink);
    let (dispatch, telemetry) = built.expect("telemetry");
    (dispatch, telemetry.levels())
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
    let address = admin(&Readiness::default(), &Shutdown::default()).await;

    let plain = get(address, "/metrics").await.to_lowercase();
    assert!(plain.contains("content-type: text/plain; version=0.0.4"), "{plain}");
    assert!(plain.contains("\nprocess_uptime_seconds "), "{plain}");

    let kinds = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3";
    let open = get_as(address, "/metrics", kinds).await.to_lowercase();
    assert!(open.contains("content-type: application/openmetrics-text; version=1.0.0"), "{open}");
    assert!(open.trim_end().ends_with("# eof"), "{open}");
}

#[tokio::test]
async fn operators_see_and_change_what_is_logged() {
    let (dispatch, levels) = logging();
    let address = serve(&Readiness::default(), levels, &Shutdown::default()).await;
    let is_logged = || {
        let is_logged = || tracing::enabled!(target: "trellis_order", Level::TRACE);
        dispatcher::with_default(&dispatch, is_logged)
    };

    let before = get(address, "/debug/log").await;
    assert!(before.starts_with("HTTP/1.1 200"), "{before}");
    assert!(before.ends_with(r#"{"log":"info"}"#), "{before}");
    assert!(!is_logged());

    let answer = put(address, "/debug/log", "trellis_order=trace, info\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with(r#"{"log":"trellis_order=trace,info"}"#), "{answer}");
    assert!(is_logged());
    assert!(get(address, "/debug/log").await.ends_with(r#"{"log":"trellis_order=trace,info"}"#));
}

#[tokio::test]
async fn what_is_logged_stays_as_it_is_if_the_command_is_not_understood() {
    let address = admin(&Readiness::default(), &Shutdown::default()).await;

    for (filter, status, error) in [
        ("trellis_order=loud", "400", "`trellis_order=loud` is no filter"),
        ("inof", "400", "`inof` is neither off, error, warn, info, debug or trace"),
        ("", "400", "is no filter"),
        (&"x".repeat(4 * 1024 + 1), "413", "length limit exceeded"),
    ] {
        let answer = put(address, "/debug/log", filter).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(answer.contains(error), "{answer}");
        assert!(answer.contains(r#""example":"trellis_order=trace,info""#), "{answer}");
    }

    assert!(get(address, "/debug/log").await.ends_with(r#"{"log":"info"}"#));
}
