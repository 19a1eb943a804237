//! Metrics that are pushed, and a collector that does not want them.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tonic::metadata::MetadataMap;
use tracing::info_span;
use trellis_telemetry::metrics::{Counter, Definition, Histogram, Unit};
use trellis_telemetry::propagation::Remote;
use trellis_telemetry::receiver::{Behaviour, Measured, Receiver};
use trellis_telemetry::{Export, ExportMetrics, PushMetrics, Settings};

use crate::kit::{PATIENCE, Process, exporting};

const ORDERS: Definition<Counter, 1> =
    Counter::define("shop.orders", Unit::of("{order}"), "Orders.", ["outcome"]);
const CALLS: Definition<Histogram, 0> = Histogram::seconds("rpc.call.duration", "Calls.", []);

/// Two seconds are promised; the rest is for a machine that is busy.
const STOP: Duration = Duration::from_secs(5);

fn pushing(endpoint: String, interval: Duration) -> Settings {
    let headers = MetadataMap::new();
    let timeout = Duration::from_secs(10);
    let push = Some(PushMetrics { endpoint, headers, interval, timeout });
    Settings { metrics: ExportMetrics { prometheus: false, push }, ..Settings::default() }
}

fn named<'a>(metrics: &'a [Measured], name: &str) -> Vec<&'a Measured> {
    metrics.iter().filter(|metric| metric.name == name).collect()
}

#[tokio::test]
async fn totals_are_pushed_now_and_then_and_once_more_at_the_end() {
    let receiver = Receiver::start().await.unwrap();
    let settings = pushing(receiver.endpoint(), Duration::from_millis(50));
    let process = Process::new("order", &settings);
    let orders = process.telemetry.metrics().get(&ORDERS, ["confirmed"]);
    orders.add(2);
    let seen = receiver.wait_for_metrics(|metrics| {
        named(metrics, "shop.orders").last().is_some_and(|orders| 1.5 < orders.value)
    });
    let seen = timeout(PATIENCE, seen).await.expect("a push");
    let first = named(&seen, "shop.orders").last().copied().cloned().unwrap();
    assert_eq!((first.service.as_str(), first.unit.as_str()), ("order", "{order}"));
    assert_eq!(first.attributes["outcome"], "confirmed");

    let settings = pushing(receiver.endpoint(), Duration::from_hours(1));
    let late = Process::new("payment", &settings);
    late.telemetry.metrics().get(&ORDERS, ["refunded"]).increment();
    late.stop().await;
    let metrics = receiver.metrics();
    let last: Vec<_> = metrics.iter().filter(|metric| metric.service == "payment").collect();
    assert!(last.iter().any(|metric| metric.attributes.contains_key("outcome")), "{last:?}");
    process.stop().await;
}

#[tokio::test]
async fn an_example_of_a_call_leads_to_its_trace() {
    let receiver = Receiver::start().await.unwrap();
    let push = pushing(receiver.endpoint(), Duration::from_hours(1)).metrics;
    let settings = Settings { metrics: push, ..exporting(Export::to(receiver.endpoint())) };
    let process = Process::new("order", &settings);
    let calls = process.telemetry.metrics().get(&CALLS, []);

    let (trace, span) = process.run(|| {
        info_span!(target: "trellis_test", "serve", otel.kind = "server").in_scope(|| {
            calls.record_example(Duration::from_millis(3), Remote::current);
            let span = Remote::current().unwrap();
            (span.trace_id().to_string(), span.span_id().to_string())
        })
    });
    process.stop().await;

    let metrics = receiver.metrics();
    let calls = named(&metrics, "rpc.call.duration");
    assert_eq!((calls.len(), calls[0].value), (1, 1.0));
    assert_eq!(calls[0].exemplars, [(trace.clone(), span)]);
    assert!(receiver.spans().iter().any(|span| span.trace_id == trace));
}

#[tokio::test]
async fn a_collector_that_refuses_costs_a_line_of_the_log_and_is_counted() {
    let receiver = Receiver::start_as(Behaviour::Refuse).await.unwrap();
    let settings = pushing(receiver.endpoint(), Duration::from_hours(1));
    let process = Process::new("order", &settings);
    let metrics = process.telemetry.metrics().clone();

    let log = process.stop().await;

    let dropped = r#"trellis_telemetry_dropped_total{signal="metrics"} 1"#;
    assert!(metrics.text().contains(dropped), "{}", metrics.text());
    assert_eq!(log.line("metrics were not pushed")["level"], "WARN");
}

#[tokio::test]
async fn a_silent_collector_holds_up_the_end_for_two_seconds_at_most() {
    let receiver = Receiver::start_as(Behaviour::Silent).await.unwrap();
    let process = Process::new("order", &pushing(receiver.endpoint(), Duration::from_hours(1)));
    let begin = Instant::now();
    process.stop().await;
    assert!(begin.elapsed() < STOP, "{:?}", begin.elapsed());
}
