//! `/metrics`, for Prometheus.

use axum::Router;
use axum::response::IntoResponse as _;
use axum::routing::get;
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};
use trellis_telemetry::Metrics;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers with what was counted: in the format that can hold exemplars to those who
/// understand it, in the older one to all others.
pub(super) fn router(metrics: Metrics) -> Router {
    let answer = move |headers: HeaderMap| async move {
        let (kind, text) = if takes_open_metrics(&headers) {
            (OPEN_METRICS, metrics.open_metrics())
        } else {
            (TEXT, metrics.text())
        };
        ([(CONTENT_TYPE, kind)], text).into_response()
    };
    Router::new().route("/metrics", get(answer))
}

fn takes_open_metrics(headers: &HeaderMap) -> bool {
    let kinds = headers.get_all(ACCEPT).iter().filter_map(|kinds| kinds.to_str().ok());
    kinds.flat_map(|kinds| kinds.split(',')).any(|kind| {
        let kind = kind.split(';').next().unwrap_or_default();
        kind.trim().eq_ignore_ascii_case("application/openmetrics-text")
    })
}
