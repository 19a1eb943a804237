//! Metrics in the protobuf of OTLP.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1 as proto;
use opentelemetry_proto::tonic::metrics::v1::{exemplar, metric, number_data_point};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::definition::{About, Sort};
use super::exemplar::Exemplar;
use super::family::{Reading, Value};
use super::handle::Buckets;
use super::now;

/// What a process is, as text.
pub(super) type Attributes = Vec<(String, String)>;

/// Everything that was counted since `start`.
pub(super) fn request(
    readings: Vec<Reading>,
    resource: &Attributes,
    start: SystemTime,
) -> ExportMetricsServiceRequest {
    let span = Span { start: nanos(start), end: nanos(now()) };
    let metrics = readings.into_iter().map(|reading| metric(reading, span)).collect();
    let scope = InstrumentationScope { name: "trellis".to_owned(), ..Default::default() };
    let scope = proto::ScopeMetrics { scope: Some(scope), metrics, ..Default::default() };
    let attributes = resource.iter().map(|(key, value)| attribute(key, value)).collect();
    let resource = Resource { attributes, ..Default::default() };
    let resource = proto::ResourceMetrics {
        resource: Some(resource),
        scope_metrics: vec![scope],
        ..Default::default()
    };
    ExportMetricsServiceRequest { resource_metrics: vec![resource] }
}

/// From when to when, in nanoseconds of Unix time.
#[derive(Clone, Copy)]
struct Span {
    start: u64,
    end: u64,
}

fn metric(reading: Reading, span: Span) -> proto::Metric {
    let about = reading.about;
    let aggregation_temporality = proto::AggregationTemporality::Cumulative as i32;
    let series = reading.series.into_iter();
    let data = match about.sort {
        Sort::Histogram => metric::Data::Histogram(proto::Histogram {
            data_points: series
                .filter_map(|(labels, value)| distribution(&about, &labels, value, span))
                .collect(),
            aggregation_temporality,
        }),
        Sort::Gauge => metric::Data::Gauge(proto::Gauge {
            data_points: series
                .map(|(labels, value)| number(&about, &labels, value, span))
                .collect(),
        }),
        Sort::Counter | Sort::Total => metric::Data::Sum(proto::Sum {
            data_points: series
                .map(|(labels, value)| number(&about, &labels, value, span))
                .collect(),
            aggregation_temporality,
            is_monotonic: true,
        }),
    };
    proto::Metric {
        name: about.name.to_owned(),
        description: about.help.clone().into_owned(),
        unit: about.unit.as_str().to_owned(),
        data: Some(data),
        ..Default::default()
    }
}

fn number(about: &About, labels: &[String], value: Value, span: Span) -> proto::NumberDataPoint {
    let value = match value {
        Value::Count(count) => {
            number_data_point::Value::AsInt(i64::try_from(count).unwrap_or(i64::MAX))
        }
        Value::Number(number) => number_data_point::Value::AsDouble(number),
        Value::Distribution(buckets) => number_data_point::Value::AsDouble(buckets.sum),
    };
    proto::NumberDataPoint {
        attributes: attributes(about, labels),
        start_time_unix_nano: span.start,
        time_unix_nano: span.end,
        value: Some(value),
        ..Default::default()
    }
}

fn distribution(
    about: &About,
    labels: &[String],
    value: Value,
    span: Span,
) -> Option<proto::HistogramDataPoint> {
    let Value::Distribution(Buckets { bounds, counts, sum, exemplars }) = value else {
        return None;
    };
    Some(proto::HistogramDataPoint {
        attributes: attributes(about, labels),
        start_time_unix_nano: span.start,
        time_unix_nano: span.end,
        count: counts.iter().sum(),
        sum: Some(sum),
        bucket_counts: counts,
        explicit_bounds: bounds.to_vec(),
        exemplars: exemplars.iter().flatten().map(example).collect(),
        ..Default::default()
    })
}

fn example(exemplar: &Exemplar) -> proto::Exemplar {
    proto::Exemplar {
        time_unix_nano: nanos(exemplar.time),
        span_id: exemplar.span_id.to_bytes().to_vec(),
        trace_id: exemplar.trace_id.to_bytes().to_vec(),
        value: Some(exemplar::Value::AsDouble(exemplar.value)),
        ..Default::default()
    }
}

fn attributes(about: &About, labels: &[String]) -> Vec<KeyValue> {
    let labels = about.labels.iter().zip(labels).filter(|(_, value)| !value.is_empty());
    labels.map(|(key, value)| attribute(key, value)).collect()
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Any::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..Default::default() }
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    u64::try_from(since).unwrap_or(u64::MAX)
}
