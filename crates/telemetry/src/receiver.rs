//! A collector for tests: it takes what a process exports over OTLP, and can be as
//! bad as a real one.

mod metrics;
mod records;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::LogsServiceServer;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::MetricsServiceServer;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1 as proto;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codec::CompressionEncoding;
use tonic::{Request, Response, Status};

pub use metrics::Measured;
pub use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
pub use records::Record;

/// What OpenTelemetry's own collector takes at once by default, in bytes.
const MAX_BATCH: usize = 4 * 1024 * 1024;

/// What the collector does with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Keeps it.
    Keep,
    /// Says that it is not available.
    Refuse,
    /// Says so of the first, and keeps the others.
    RefuseFirst,
    /// Keeps it, and says of one span of it that it was rejected.
    RejectOne,
    /// Takes it and never answers.
    Silent,
}

/// A collector on a free port of this machine; ends when it is dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    spans: watch::Receiver<Vec<Received>>,
    metrics: watch::Receiver<Vec<Measured>>,
    records: watch::Receiver<Vec<Record>>,
    _server: JoinSet<()>,
}

/// A span as it arrived. Ids are hex, and empty where there is none; attribute
/// values are written as text.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// The attribute `service.name` of the process.
    pub service: String,
    /// All attributes of the process.
    pub resource: BTreeMap<String, String>,
    /// The span's name.
    pub name: String,
    /// Which side of a call it is.
    pub kind: SpanKind,
    /// 32 hex digits.
    pub trace_id: String,
    /// 16 hex digits.
    pub span_id: String,
    /// The id of the span that it is a part of.
    pub parent: String,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
    /// What happened in it: names with attributes.
    pub events: Vec<(String, BTreeMap<String, String>)>,
    /// Other spans, as trace id and span id.
    pub links: Vec<(String, String)>,
    /// Whether its status is an error, and with what text.
    pub error: Option<String>,
}

impl Receiver {
    /// One that keeps all it gets.
    pub async fn start() -> std::io::Result<Self> {
        Self::start_as(Behaviour::Keep).await
    }

    /// One that does as `behaviour` says.
    pub async fn start_as(behaviour: Behaviour) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let ((to_spans, spans), (to_metrics, metrics)) =
            (watch::channel(Vec::new()), watch::channel(Vec::new()));
        let (to_records, records) = watch::channel(Vec::new());
        let collector = Collector {
            behaviour,
            seen: Arc::default(),
            spans: to_spans,
            metrics: to_metrics,
            records: to_records,
        };
        let traces = TraceServiceServer::new(collector.clone())
            .accept_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(MAX_BATCH)
            .max_encoding_message_size(MAX_BATCH);
        let measurements = MetricsServiceServer::new(collector.clone())
            .max_decoding_message_size(MAX_BATCH)
            .max_encoding_message_size(MAX_BATCH);
        let logs = LogsServiceServer::new(collector)
            .max_decoding_message_size(MAX_BATCH)
            .max_encoding_message_size(MAX_BATCH);
        let server = tonic::transport::Server::builder()
            .add_service(traces)
            .add_service(measurements)
            .add_service(logs)
            .serve_with_incoming(TcpListenerStream::new(listener));
        let mut tasks = JoinSet::new();
        tasks.spawn(async {
            // Who waits for spans learns of the end by their absence.
            let _ = server.await;
        });
        Ok(Self { address, spans, metrics, records, _server: tasks })
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What has arrived so far, in the order of arrival.
    pub fn spans(&self) -> Vec<Received> {
        self.spans.borrow().clone()
    }

    /// All metrics that were pushed so far, in the order of arrival.
    pub fn metrics(&self) -> Vec<Measured> {
        self.metrics.borrow().clone()
    }

    /// As [`wait_for`](Self::wait_for), for metrics.
    pub async fn wait_for_metrics(&self, enough: impl Fn(&[Measured]) -> bool) -> Vec<Measured> {
        let mut metrics = self.metrics.clone();
        match metrics.wait_for(|metrics| enough(metrics)).await {
            Ok(metrics) => metrics.clone(),
            Err(_) => std::future::pending().await,
        }
    }

    /// All log records that have arrived so far, in the order of arrival.
    pub fn records(&self) -> Vec<Record> {
        self.records.borrow().clone()
    }

    /// As [`wait_for`](Self::wait_for), for log records.
    pub async fn wait_for_records(&self, enough: impl Fn(&[Record]) -> bool) -> Vec<Record> {
        let mut records = self.records.clone();
        match records.wait_for(|records| enough(records)).await {
            Ok(records) => records.clone(),
            Err(_) => std::future::pending().await,
        }
    }

    /// Waits until `enough` is content with what has arrived. Give it a time limit:
    /// it waits for ever for what does not come.
    pub async fn wait_for(&self, enough: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let mut spans = self.spans.clone();
        match spans.wait_for(|spans| enough(spans)).await {
            Ok(spans) => spans.clone(),
            // The server has ended.
            Err(_) => std::future::pending().await,
        }
    }
}

#[derive(Clone)]
struct Collector {
    behaviour: Behaviour,
    /// Whether there was a batch.
    seen: Arc<AtomicBool>,
    spans: watch::Sender<Vec<Received>>,
    metrics: watch::Sender<Vec<Measured>>,
    records: watch::Sender<Vec<Record>>,
}

impl Collector {
    async fn behave(&self) -> Result<(), Status> {
        match self.behaviour {
            Behaviour::RefuseFirst if !self.seen.swap(true, Ordering::Relaxed) => Err(refusal()),
            Behaviour::Keep | Behaviour::RefuseFirst | Behaviour::RejectOne => Ok(()),
            Behaviour::Refuse => Err(refusal()),
            Behaviour::Silent => std::future::pending().await,
        }
    }
}

fn refusal() -> Status {
    Status::unavailable("the collector refuses")
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.behave().await?;
        let arrived = request.into_inner().resource_spans.into_iter().flat_map(received);
        let arrived: Vec<_> = arrived.collect();
        self.spans.send_modify(|spans| spans.extend(arrived));
        let rejected_spans = i64::from(self.behaviour == Behaviour::RejectOne);
        let partial = ExportTracePartialSuccess { rejected_spans, ..Default::default() };
        let partial_success = (0 < rejected_spans).then_some(partial);
        Ok(Response::new(ExportTraceServiceResponse { partial_success }))
    }
}

fn received(batch: proto::ResourceSpans) -> impl Iterator<Item = Received> {
    let resource = batch.resource.map(|resource| texts(resource.attributes)).unwrap_or_default();
    let spans = batch.scope_spans.into_iter().flat_map(|scope| scope.spans);
    spans.map(move |span| Received {
        service: resource.get("service.name").cloned().unwrap_or_default(),
        resource: resource.clone(),
        kind: span.kind(),
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        events: span
            .events
            .into_iter()
            .map(|event| (event.name, texts(event.attributes)))
            .collect(),
        links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
        error: span
            .status
            .filter(|status| status.code() == proto::status::StatusCode::Error)
            .map(|status| status.message),
        attributes: texts(span.attributes),
        name: span.name,
    })
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    attributes.into_iter().map(|pair| (pair.key, text(pair.value))).collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        None => String::new(),
        Some(Value::StringValue(text)) => text,
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => value.to_string(),
        Some(other) => format!("{other:?}"),
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
