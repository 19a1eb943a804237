//! Metrics as they arrived.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::MetricsService;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::metrics::v1 as proto;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use tonic::{Request, Response, Status};

use super::{Collector, hex, texts};

/// One series of one push.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The attribute `service.name` of the process.
    pub service: String,
    /// The metric's name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// What tells the series apart.
    pub attributes: BTreeMap<String, String>,
    /// The number; of a histogram, how many values it has.
    pub value: f64,
    /// The trace and the span of each example.
    pub exemplars: Vec<(String, String)>,
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.behave().await?;
        let arrived = request.into_inner().resource_metrics.into_iter().flat_map(measured);
        let arrived: Vec<_> = arrived.collect();
        self.metrics.send_modify(|metrics| metrics.extend(arrived));
        Ok(Response::new(ExportMetricsServiceResponse { partial_success: None }))
    }
}

fn measured(batch: proto::ResourceMetrics) -> Vec<Measured> {
    let resource = batch.resource.map(|resource| texts(resource.attributes)).unwrap_or_default();
    let service = resource.get("service.name").cloned().unwrap_or_default();
    let metrics = batch.scope_metrics.into_iter().flat_map(|scope| scope.metrics);
    metrics.flat_map(|metric| series(&service, metric)).collect()
}

fn series(service: &str, metric: proto::Metric) -> Vec<Measured> {
    let proto::Metric { name, unit, data, .. } = metric;
    let one = |attributes, value, exemplars: Vec<proto::Exemplar>| Measured {
        service: service.to_owned(),
        name: name.clone(),
        unit: unit.clone(),
        attributes: texts(attributes),
        value,
        exemplars: exemplars.iter().map(|one| (hex(&one.trace_id), hex(&one.span_id))).collect(),
    };
    let number =
        |point: proto::NumberDataPoint| one(point.attributes, float(point.value), point.exemplars);
    match data {
        Some(Data::Gauge(gauge)) => gauge.data_points.into_iter().map(number).collect(),
        Some(Data::Sum(sum)) => sum.data_points.into_iter().map(number).collect(),
        Some(Data::Histogram(histogram)) => histogram
            .data_points
            .into_iter()
            .map(|point| {
                #[expect(clippy::cast_precision_loss, reason = "tests count less than 2⁵³")]
                let count = point.count as f64;
                one(point.attributes, count, point.exemplars)
            })
            .collect(),
        _ => Vec::new(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "tests count less than 2⁵³")]
fn float(value: Option<Value>) -> f64 {
    match value {
        None => f64::NAN,
        Some(Value::AsDouble(value)) => value,
        Some(Value::AsInt(value)) => value as f64,
    }
}
