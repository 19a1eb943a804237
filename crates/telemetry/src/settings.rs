//! What can be set from outside: OpenTelemetry's own variables and two of Trellis.

mod variables;

use std::time::Duration;

use opentelemetry_sdk::trace::Sampler;
use tonic::metadata::MetadataMap;
use tracing_subscriber::filter::{LevelFilter, Targets};

/// What [`start`](crate::start) sets up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is logged; `TRELLIS_LOG`, such as `trellis_order=trace,info`. By default
    /// `info`. Changeable at run time: [`LogLevels`](crate::LogLevels).
    pub log: Targets,
    /// Which spans of Trellis's crates belong to traces; `TRELLIS_TRACE`, written
    /// alike. By default `debug` where they are exported, and else `info`, which is
    /// enough for a call to have its ids.
    pub spans: Option<Targets>,
    /// `OTEL_SERVICE_NAME`. Without it, the name that the program gives itself.
    pub service_name: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`: what every span of this process carries.
    pub resource: Vec<(String, String)>,
    /// Where spans go; `None`: nowhere.
    pub export: Option<Export>,
    /// Where the log goes besides standard error; `None`: nowhere.
    pub logs: Option<ExportLogs>,
    /// Who gets the metrics.
    pub metrics: ExportMetrics,
}

/// Who gets the metrics; `OTEL_METRICS_EXPORTER`, such as `prometheus,otlp`, or `none`.
#[derive(Clone, Debug)]
pub struct ExportMetrics {
    /// Whether they can be read as `/metrics` on the admin port. By default they can.
    pub prometheus: bool,
    /// Where they are pushed to. By default nowhere.
    pub push: Option<PushMetrics>,
}

/// How metrics reach a collector that they are pushed to.
#[derive(Clone, Debug)]
pub struct PushMetrics {
    /// `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`, else `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub endpoint: String,
    /// `OTEL_EXPORTER_OTLP_METRICS_HEADERS`, else `OTEL_EXPORTER_OTLP_HEADERS`: what is
    /// sent along, such as a key.
    pub headers: MetadataMap,
    /// `OTEL_METRIC_EXPORT_INTERVAL`: how often. By default 60 s.
    pub interval: Duration,
    /// `OTEL_METRIC_EXPORT_TIMEOUT`: how long the collector may take. By default 30 s.
    pub timeout: Duration,
}

/// How spans reach a collector.
#[derive(Clone, Debug)]
pub struct Export {
    /// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, else `OTEL_EXPORTER_OTLP_ENDPOINT`:
    /// gRPC without TLS, such as `http://127.0.0.1:4317`.
    pub endpoint: String,
    /// `OTEL_EXPORTER_OTLP_TRACES_HEADERS`, else `OTEL_EXPORTER_OTLP_HEADERS`: what is
    /// sent along, such as a key.
    pub headers: MetadataMap,
    /// `OTEL_EXPORTER_OTLP_TRACES_COMPRESSION`, else `OTEL_EXPORTER_OTLP_COMPRESSION`:
    /// whether batches are compressed with gzip. By default they are not.
    pub gzip: bool,
    /// `OTEL_EXPORTER_OTLP_TRACES_TIMEOUT`, else `OTEL_EXPORTER_OTLP_TIMEOUT`: how
    /// long the collector may take over a batch. By default 10 s.
    pub timeout: Duration,
    /// `OTEL_BSP_EXPORT_TIMEOUT`: how long a batch may take with all its
    /// repetitions. By default 30 s.
    pub give_up: Duration,
    /// `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`. By default what the
    /// caller sampled, and all that has no caller.
    pub sampler: Sampler,
    /// `OTEL_BSP_MAX_QUEUE_SIZE`: how many finished spans may wait; more are
    /// dropped. By default 2048, at most 65536.
    pub queue: usize,
    /// `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`: how many spans are sent at once. By
    /// default 512, and no more than may wait.
    pub batch: usize,
    /// `OTEL_BSP_SCHEDULE_DELAY`: how long a span waits at most for others. By
    /// default 5 s.
    pub delay: Duration,
}

/// How the log reaches a collector; `OTEL_LOGS_EXPORTER`, which is `none` by default,
/// or `otlp`.
#[derive(Clone, Debug)]
pub struct ExportLogs {
    /// `OTEL_EXPORTER_OTLP_LOGS_ENDPOINT`, else `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub endpoint: String,
    /// `OTEL_EXPORTER_OTLP_LOGS_TIMEOUT`, else `OTEL_EXPORTER_OTLP_TIMEOUT`: how long
    /// the collector may take over a batch. By default 10 s.
    pub timeout: Duration,
    /// `OTEL_BLRP_EXPORT_TIMEOUT`: how long a batch may take with all its repetitions.
    /// By default 30 s.
    pub give_up: Duration,
    /// `OTEL_BLRP_MAX_QUEUE_SIZE`: how many records may wait; more are dropped. By
    /// default 2048, at most 65536.
    pub queue: usize,
    /// `OTEL_BLRP_MAX_EXPORT_BATCH_SIZE`: how many records are sent at once. By default
    /// 512, and no more than may wait.
    pub batch: usize,
    /// `OTEL_BLRP_SCHEDULE_DELAY`: how long a record waits at most for others. By
    /// default 1 s.
    pub delay: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            log: Targets::new().with_default(LevelFilter::INFO),
            spans: None,
            service_name: None,
            resource: Vec::new(),
            export: None,
            logs: None,
            metrics: ExportMetrics { prometheus: true, push: None },
        }
    }
}

impl Export {
    /// To `endpoint`, with the defaults for the rest.
    pub fn to(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            headers: MetadataMap::new(),
            gzip: false,
            timeout: Duration::from_secs(10),
            give_up: Duration::from_secs(30),
            sampler: Sampler::ParentBased(Box::new(Sampler::AlwaysOn)),
            queue: 2048,
            batch: 512,
            delay: Duration::from_secs(5),
        }
    }
}

impl ExportLogs {
    /// To `endpoint`, with the defaults for the rest.
    pub fn to(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            timeout: Duration::from_secs(10),
            give_up: Duration::from_secs(30),
            queue: 2048,
            batch: 512,
            delay: Duration::from_secs(1),
        }
    }
}
