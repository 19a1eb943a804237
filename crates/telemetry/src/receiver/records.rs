//! Log records as they arrive.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::LogsService;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::logs::v1 as proto;
use tonic::{Request, Response, Status};

use super::{Collector, hex, text, texts};

/// A log record as it arrived. Ids are hex, and empty where there is none; values are
/// written as text.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The attribute `service.name` of the process.
    pub service: String,
    /// Where in the code it comes from.
    pub target: String,
    /// When it was logged, in nanoseconds since 1970; zero if that is not said.
    pub time: u64,
    /// How bad it is, as a word.
    pub severity: String,
    /// How bad it is, as OpenTelemetry counts: 9 is `INFO`.
    pub number: i32,
    /// What it says.
    pub body: String,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
    /// 32 hex digits.
    pub trace_id: String,
    /// 16 hex digits.
    pub span_id: String,
}

#[tonic::async_trait]
impl LogsService for Collector {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.behave().await?;
        let arrived = request.into_inner().resource_logs.into_iter().flat_map(received);
        let arrived: Vec<_> = arrived.collect();
        self.records.send_modify(|records| records.extend(arrived));
        Ok(Response::new(ExportLogsServiceResponse { partial_success: None }))
    }
}

fn received(batch: proto::ResourceLogs) -> impl Iterator<Item = Record> {
    let resource = batch.resource.map(|resource| texts(resource.attributes)).unwrap_or_default();
    let service = resource.get("service.name").cloned().unwrap_or_default();
    batch.scope_logs.into_iter().flat_map(move |scope| {
        let service = service.clone();
        let target = scope.scope.map(|scope| scope.name).unwrap_or_default();
        scope.log_records.into_iter().map(move |record| Record {
            service: service.clone(),
            target: target.clone(),
            time: record.time_unix_nano,
            severity: record.severity_text,
            number: record.severity_number,
            body: text(record.body),
            attributes: texts(record.attributes),
            trace_id: hex(&record.trace_id),
            span_id: hex(&record.span_id),
        })
    })
}
