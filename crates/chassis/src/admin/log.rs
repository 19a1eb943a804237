//! What is logged, over HTTP.

use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::extract::rejection::BytesRejection;
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};
use trellis_telemetry::LogLevels;

/// Longer filters are refused, in bytes.
const MAX_FILTER: usize = 4 * 1024;

/// `GET /debug/log` says what is logged, and `PUT /debug/log` changes it until the
/// process ends.
pub(super) fn router(levels: LogLevels) -> Router {
    let shown = levels.clone();
    let show = async move || Json(json!({ "log": shown.get() }));
    let change = async move |filter: Result<Bytes, BytesRejection>| match filter {
        Ok(filter) => change(&levels, &filter),
        Err(rejection) => refuse(rejection.status(), &rejection),
    };
    Router::new()
        .route("/debug/log", get(show).put(change))
        .layer(DefaultBodyLimit::max(MAX_FILTER))
}

fn change(levels: &LogLevels, filter: &[u8]) -> (StatusCode, Json<Value>) {
    let set = std::str::from_utf8(filter).map_err(anyhow::Error::from);
    match set.and_then(|filter| levels.set(filter)) {
        Ok(()) => (StatusCode::OK, Json(json!({ "log": levels.get() }))),
        Err(error) => refuse(StatusCode::BAD_REQUEST, &error),
    }
}

fn refuse(status: StatusCode, error: &dyn ToString) -> (StatusCode, Json<Value>) {
    let example = "trellis_order=trace,info";
    (status, Json(json!({ "error": error.to_string(), "example": example })))
}
