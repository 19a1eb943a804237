use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::propagation::Remote;

const CALLS: Definition<Histogram, 2> =
    Histogram::seconds("rpc.call.duration", "How long \"calls\" take.", ["rpc.method", "code"]);
const ORDERS: Definition<Counter, 1> =
    Counter::define("shop.orders", Unit::of("{order}"), "Orders.", ["outcome"]);
const DEPTH: Definition<Gauge, 0> = Gauge::define("depth", Unit::BYTES, "How deep.", []);

fn span(flags: &str) -> Option<Remote> {
    Remote::parse(&format!("00-00000000000000000000000000000007-0000000000000009-{flags}"))
}

#[test]
fn prometheus_sees_underscores_units_and_totals() {
    let metrics = Metrics::default();
    metrics.get(&CALLS, ["Shop/Get", "OK"]).record_duration(Duration::from_millis(2));
    metrics.get(&ORDERS, ["confirmed"]).add(3);
    metrics.get(&DEPTH, []).set(1.5);

    let text = metrics.text();

    for line in [
        "# TYPE depth_bytes gauge",
        "# HELP depth_bytes How deep.",
        "depth_bytes 1.5",
        "# TYPE rpc_call_duration_seconds histogram",
        "# HELP rpc_call_duration_seconds How long \"calls\" take.",
        r#"rpc_call_duration_seconds_bucket{rpc_method="Shop/Get",code="OK",le="0.001"} 0"#,
        r#"rpc_call_duration_seconds_bucket{rpc_method="Shop/Get",code="OK",le="0.0025"} 1"#,
        r#"rpc_call_duration_seconds_bucket{rpc_method="Shop/Get",code="OK",le="+Inf"} 1"#,
        r#"rpc_call_duration_seconds_sum{rpc_method="Shop/Get",code="OK"} 0.002"#,
        r#"rpc_call_duration_seconds_count{rpc_method="Shop/Get",code="OK"} 1"#,
        "# TYPE shop_orders_total counter",
        r#"shop_orders_total{outcome="confirmed"} 3"#,
    ] {
        assert!(text.lines().any(|known| known == line), "`{line}` is not in\n{text}");
    }
}

#[test]
fn open_metrics_names_units_and_families_and_has_an_end() {
    let metrics = Metrics::of(vec![("service.name".to_owned(), "order".to_owned())]);
    metrics.get(&DEPTH, []).set(1.0);
    metrics.get(&ORDERS, ["confirmed"]).increment();

    let text = metrics.open_metrics();

    let expected = r#"# TYPE target info
target_info{service_name="order"} 1
# TYPE depth_bytes gauge
# UNIT depth_bytes bytes
# HELP depth_bytes How deep.
depth_bytes 1
# TYPE shop_orders counter
# HELP shop_orders Orders.
shop_orders_total{outcome="confirmed"} 1
# EOF
"#;
    assert_eq!(text, expected);
}

#[test]
fn a_bucket_shows_the_first_sampled_call_since_it_was_read() {
    let metrics = Metrics::default();
    let calls = metrics.get(&CALLS, ["a", "OK"]);
    let record = |micros, flags| {
        calls.record_example(Duration::from_micros(micros), || span(flags));
    };
    record(100, "00");
    record(200, "01");
    record(300, "01");

    let example = |text: &str| {
        let line = text.lines().find(|line| line.contains(r#"le="0.0005""#)).unwrap().to_owned();
        line.split_once(" # ").map(|(_, example)| example.to_owned())
    };
    let first = example(&metrics.open_metrics()).unwrap();
    let ids = r#"{trace_id="00000000000000000000000000000007",span_id="0000000000000009"}"#;
    assert!(first.starts_with(&format!("{ids} 0.0002 ")), "{first}");

    record(400, "01");
    let next = example(&metrics.open_metrics()).unwrap();
    assert!(next.starts_with(&format!("{ids} 0.0004 ")), "{next}");
    assert_eq!(example(&metrics.text()), None, "the older text has no room for it");
}

#[test]
fn a_label_that_is_empty_is_left_out_and_others_are_escaped() {
    let metrics = Metrics::default();
    metrics.get(&CALLS, ["", "a\"b\\c\nd"]);
    let text = metrics.text();
    assert!(text.contains(r#"_count{code="a\"b\\c\nd"} 0"#), "{text}");
    metrics.get(&ORDERS, [""]);
    assert!(metrics.text().contains("shop_orders_total 0\n"));
}

#[test]
fn what_has_no_bound_is_counted_together_beyond_the_limit() {
    let metrics = Metrics::default();
    for number in 0..MAX_SERIES + 10 {
        metrics.get(&ORDERS, [&number.to_string()]).increment();
    }
    let text = metrics.text();
    assert!(text.contains("shop_orders_total{outcome=\"_OTHER\"} 10\n"));
    assert_eq!(text.matches("shop_orders_total{").count(), MAX_SERIES + 1);
    // Those that were there before still count for themselves.
    metrics.get(&ORDERS, ["7"]).increment();
    assert!(metrics.text().contains("shop_orders_total{outcome=\"7\"} 2\n"));
}

#[test]
fn a_name_of_a_facade_gives_its_unit_away() {
    let metrics = Metrics::default();
    metrics.named::<Counter>("calls_total", &[("peer", "a")]).increment();
    metrics.named::<Histogram>("call_seconds", &[("peer", "a")]).record(0.3);
    metrics.named::<Gauge>("state", &[]).set(2.0);
    let text = metrics.text();
    assert!(text.contains("calls_total{peer=\"a\"} 1\n"), "{text}");
    assert!(text.contains("call_seconds_bucket{peer=\"a\",le=\"0.5\"} 1\n"), "{text}");
    assert!(text.contains("state 2\n"), "{text}");
}

#[test]
fn a_histogram_without_values_takes_three_lines() {
    let metrics = Metrics::default();
    metrics.get(&CALLS, ["a", "OK"]);
    let text = metrics.text();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("rpc_")).collect();
    let series = r#"{rpc_method="a",code="OK""#;
    let name = "rpc_call_duration_seconds";
    let expected = [
        format!(r#"{name}_bucket{series},le="+Inf"}} 0"#),
        format!("{name}_sum{series}}} 0"),
        format!("{name}_count{series}}} 0"),
    ];
    assert_eq!(lines, expected);
}

#[test]
#[should_panic(expected = "`depth` is defined in two ways")]
fn two_meanings_of_one_name_are_found_at_once() {
    const OTHER: Definition<Gauge, 1> = Gauge::define("depth", Unit::BYTES, "How deep.", ["of"]);
    let metrics = Metrics::default();
    metrics.get(&DEPTH, []);
    metrics.get(&OTHER, ["a"]);
}

#[test]
fn what_others_keep_is_brought_up_to_date_before_each_reading() {
    let metrics = Metrics::default();
    let depth = metrics.get(&DEPTH, []);
    let readings = std::sync::atomic::AtomicU64::new(0);
    metrics.before_reading(move || {
        depth.set_count(readings.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1);
    });
    assert!(metrics.text().contains("depth_bytes 1\n"));
    assert!(metrics.open_metrics().contains("depth_bytes 2\n"));
}

#[tokio::test]
async fn a_process_shows_what_it_uses() {
    let metrics = Metrics::default();
    metrics.watch_process();
    let text = metrics.text();
    for name in [
        "tokio_workers",
        "tokio_worker_busy_seconds_total",
        "process_uptime_seconds",
        "process_cpu_time_seconds_total{cpu_mode=\"user\"}",
        "process_memory_usage_bytes",
        "process_thread_count",
        "process_unix_file_descriptor_count",
        "process_unix_file_descriptor_limit",
    ] {
        let line = text.lines().find(|line| line.starts_with(name));
        let (_, value) = line.expect(name).rsplit_once(' ').unwrap();
        let value: f64 = value.parse().unwrap();
        assert!(0.0 <= value && value.is_finite(), "{name} {value}");
    }
}

proptest! {
    /// As many values as were recorded, each in the first bucket that it fits.
    #[test]
    fn a_histogram_counts_as_a_list_does(values in prop::collection::vec(0.0..20.0_f64, 1..200)) {
        let metrics = Metrics::default();
        let calls = metrics.get(&CALLS, ["a", "OK"]);
        for value in &values {
            calls.record(*value);
        }
        let text = metrics.text();
        for bound in LATENCY {
            let count = values.iter().filter(|value| *value <= bound).count();
            let line = format!(r#"_bucket{{rpc_method="a",code="OK",le="{bound}"}} {count}"#);
            prop_assert!(text.contains(&format!("{line}\n")), "{line} is not in\n{text}");
        }
        let sum = text.lines().find_map(|line| line.split_once("_sum{")?.1.rsplit_once(' ')).unwrap().1;
        let sum: f64 = sum.parse().unwrap();
        prop_assert!((sum - values.iter().sum::<f64>()).abs() < 1e-6);
    }
}
