//! Settings from variables.

use std::time::Duration;

use trellis_telemetry::Settings;

pub(crate) fn of<const N: usize>(
    variables: &[(&'static str, String); N],
) -> anyhow::Result<Settings> {
    Settings::from_variables(|name| {
        variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone())
    })
}

fn with<const N: usize>(variables: [(&'static str, &str); N]) -> anyhow::Result<Settings> {
    of(&variables.map(|(name, value)| (name, value.to_owned())))
}

const COLLECTOR: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");

#[test]
fn without_a_collector_nothing_is_exported() {
    let settings = with([("OTEL_TRACES_SAMPLER", "always_on")]).unwrap();

    assert!(settings.export.is_none());
    assert_eq!(settings.log.to_string(), "info");
    assert_eq!(settings.spans, None);
}

#[test]
fn metrics_are_shown_and_pushed_as_the_variable_says() {
    let metrics = with([COLLECTOR]).unwrap().metrics;
    assert!(metrics.prometheus && metrics.push.is_none());

    let none = with([COLLECTOR, ("OTEL_METRICS_EXPORTER", "none")]).unwrap().metrics;
    assert!(!none.prometheus && none.push.is_none());

    let both = [
        COLLECTOR,
        ("OTEL_METRICS_EXPORTER", "prometheus, otlp"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://elsewhere:4317"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "15000"),
    ];
    let both = with(both).unwrap().metrics;
    let push = both.push.unwrap();
    assert!(both.prometheus);
    assert_eq!(push.endpoint, "http://elsewhere:4317");
    assert_eq!(push.headers.get("authorization").unwrap(), "Bearer abc");
    assert_eq!(push.interval, Duration::from_secs(15));
    assert_eq!(push.timeout, Duration::from_secs(30));
}

#[test]
fn metrics_that_cannot_go_where_they_should_are_an_error() {
    let nowhere = with([("OTEL_METRICS_EXPORTER", "otlp")]).unwrap_err().to_string();
    assert!(nowhere.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{nowhere}");
    let unknown = with([("OTEL_METRICS_EXPORTER", "statsd")]).unwrap_err().to_string();
    assert!(unknown.contains("statsd") && unknown.contains("prometheus"), "{unknown}");
    let bad =
        [COLLECTOR, ("OTEL_METRICS_EXPORTER", "otlp"), ("OTEL_EXPORTER_OTLP_HEADERS", "k=%0A")];
    let bad = format!("{:#}", with(bad).unwrap_err());
    assert!(bad.contains("bad value for `k`"), "{bad}");
}

#[test]
fn a_collector_is_enough() {
    let export = with([COLLECTOR]).unwrap().export.unwrap();

    assert_eq!(export.endpoint, "http://collector:4317");
    assert_eq!(format!("{:?}", export.sampler), "ParentBased(AlwaysOn)");
    assert_eq!((export.queue, export.batch), (2048, 512));
    assert_eq!(export.delay, Duration::from_secs(5));
}

#[test]
fn what_is_sent_along_with_traces_is_theirs_or_that_of_all_and_does_not_print() {
    let of_all = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc");
    let own = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "authorization=Bearer%20def");
    let key =
        |export: &trellis_telemetry::Export| export.headers.get("authorization").unwrap().clone();

    let export = with([COLLECTOR, of_all]).unwrap().export.unwrap();
    assert_eq!(key(&export), "Bearer abc");
    assert!(!format!("{export:?}").contains("abc"));
    let export = with([COLLECTOR, of_all, own]).unwrap().export.unwrap();
    assert_eq!(key(&export), "Bearer def");
    assert!(with([COLLECTOR]).unwrap().export.unwrap().headers.is_empty());
}

#[test]
fn traces_are_compressed_if_their_own_variable_or_that_of_all_says_so() {
    let gzip = |all: &str, own: &str| {
        let all = ("OTEL_EXPORTER_OTLP_COMPRESSION", all);
        let own = ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", own);
        with([COLLECTOR, all, own]).map(|settings| settings.export.unwrap().gzip)
    };

    assert!(!gzip("", "").unwrap());
    assert!(gzip("gzip", "").unwrap());
    assert!(gzip("", "gzip").unwrap());
    assert!(!gzip("gzip", "none").unwrap());
    assert!(gzip("zstd", "").is_err());
}

#[test]
fn the_collector_of_traces_comes_first() {
    let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4317");

    let settings = with([COLLECTOR, traces]).unwrap();

    assert_eq!(settings.export.unwrap().endpoint, "http://traces:4317");
}

#[test]
fn export_can_be_switched_off() {
    for (name, value) in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
        assert!(with([COLLECTOR, (name, value)]).unwrap().export.is_none(), "{name}");
    }
    assert!(with([COLLECTOR, ("OTEL_SDK_DISABLED", "false")]).unwrap().export.is_some());
}

#[test]
fn the_log_is_exported_if_that_is_asked_for() {
    let otlp = ("OTEL_LOGS_EXPORTER", "otlp");
    assert!(with([COLLECTOR]).unwrap().logs.is_none());
    assert!(with([COLLECTOR, ("OTEL_LOGS_EXPORTER", "none")]).unwrap().logs.is_none());
    assert!(with([COLLECTOR, otlp, ("OTEL_SDK_DISABLED", "true")]).unwrap().logs.is_none());

    let own = ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://logs:4317");
    let queue = ("OTEL_BLRP_MAX_QUEUE_SIZE", "7");
    let logs = with([COLLECTOR, otlp, own, queue]).unwrap().logs.unwrap();
    assert_eq!(logs.endpoint, "http://logs:4317");
    assert_eq!((logs.queue, logs.batch, logs.delay), (7, 7, Duration::from_secs(1)));
    assert_eq!(with([COLLECTOR, otlp]).unwrap().logs.unwrap().endpoint, COLLECTOR.1);

    let refusal = with([otlp]).unwrap_err().to_string();
    assert!(refusal.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{refusal}");
}

#[test]
fn each_sampler_is_known_by_its_name() {
    let samplers = [
        ("always_on", "AlwaysOn"),
        ("always_off", "AlwaysOff"),
        ("traceidratio", "TraceIdRatioBased(0.25)"),
        ("parentbased_always_on", "ParentBased(AlwaysOn)"),
        ("parentbased_always_off", "ParentBased(AlwaysOff)"),
        ("parentbased_traceidratio", "ParentBased(TraceIdRatioBased(0.25))"),
    ];
    for (name, expected) in samplers {
        let ratio = ("OTEL_TRACES_SAMPLER_ARG", "0.25");
        let settings = with([COLLECTOR, ("OTEL_TRACES_SAMPLER", name), ratio]).unwrap();
        assert_eq!(format!("{:?}", settings.export.unwrap().sampler), expected);
    }
}

#[test]
fn a_small_queue_makes_small_batches() {
    let export = with([COLLECTOR, ("OTEL_BSP_MAX_QUEUE_SIZE", "7")]).unwrap().export.unwrap();

    assert_eq!((export.queue, export.batch), (7, 7));
}

#[test]
fn a_filter_may_have_spaces() {
    let settings = with([("TRELLIS_LOG", "trellis_order=trace, INFO ")]).unwrap();

    assert_eq!(settings.log, "trellis_order=trace,info".parse().unwrap());
}

#[test]
fn an_empty_variable_is_an_absent_one() {
    let settings = with([COLLECTOR, ("OTEL_TRACES_SAMPLER", ""), ("TRELLIS_LOG", " ")]).unwrap();

    assert_eq!(settings.log.to_string(), "info");
}

#[test]
fn a_value_that_makes_no_sense_is_refused_by_name_even_without_a_collector() {
    let bad = [
        ("TRELLIS_LOG", "trellis_order=loud"),
        ("TRELLIS_LOG", "inof"),
        ("TRELLIS_LOG", "trellis_order=trace,,info"),
        ("TRELLIS_TRACE", "trellis_order=loud"),
        ("TRELLIS_TRACE", "trellis_order"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4317"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "not a url"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_SDK_DISABLED", "perhaps"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_LOGS_EXPORTER", "console"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "logs:4317"),
        ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json"),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "65537"),
        ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "4096"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "0"),
        ("OTEL_BLRP_EXPORT_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "10s"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_SAMPLER_ARG", "ten percent"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("OTEL_TRACES_SAMPLER_ARG", "NaN"),
        ("OTEL_RESOURCE_ATTRIBUTES", "zone"),
        ("OTEL_RESOURCE_ATTRIBUTES", "zone=%ff"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "soon"),
    ];
    for (name, value) in bad {
        let refusal = format!("{:#}", with([(name, value)]).expect_err(name));
        assert!(refusal.starts_with(name) && refusal.contains(value), "{refusal}");
    }
}
