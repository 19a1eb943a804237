//! One port for gRPC and for HTTP/JSON.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, header};
use tonic::service::Routes;
use tower::ServiceExt as _;
use trellis_chassis::Transport;

use crate::json::Transcoder;

#[derive(Clone)]
struct Door {
    grpc: Router,
    json: Transcoder,
}

/// Answers gRPC calls with `routes`, and everything else in JSON by calls over `road`,
/// which leads to the same.
pub(crate) fn router(routes: Routes, road: Transport) -> anyhow::Result<Router> {
    let json = Transcoder::new(road)?;
    let grpc = routes.prepare().into_axum_router().with_state(());
    Ok(Router::new().fallback(answer).with_state(Door { grpc, json }))
}

async fn answer(State(door): State<Door>, request: Request) -> Response {
    if !is_grpc(request.headers()) {
        return door.json.answer(request).await;
    }
    door.grpc.oneshot(request).await.unwrap_or_else(|never| match never {})
}

pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}
