//! One listener for several services.
//!
//! Each service keeps its own router, since some answer the same gRPC service:
//! every consumer of events has its `ConsumerService`, and the metadata
//! `trellis-consumer` says which of them is meant.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use tonic::service::Routes;
use tower::ServiceExt as _;
use trellis_api::limits::MAX_MESSAGE;
use trellis_chassis::Shutdown;
use trellis_events::consumer::CONSUMER;

use crate::role::Role;

struct Switch {
    services: BTreeMap<&'static str, Router>,
    /// Health and reflection, and the answer to what nobody knows.
    rest: Router,
}

/// Answers for all of `services`.
pub(super) fn router(
    services: BTreeMap<Role, Routes>,
    shutdown: &Shutdown,
) -> anyhow::Result<Router> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(trellis_api::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let rest = Routes::new(trellis_chassis::listen::health(shutdown))
        .add_service(reflection().build_v1()?.max_decoding_message_size(MAX_MESSAGE))
        .add_service(reflection().build_v1alpha()?.max_decoding_message_size(MAX_MESSAGE));
    let services =
        services.into_iter().map(|(role, routes)| (role.name(), ready(routes))).collect();
    let switch = Arc::new(Switch { services, rest: ready(rest) });
    Ok(Router::new().fallback(answer).with_state(switch))
}

fn ready(routes: Routes) -> Router {
    routes.prepare().into_axum_router().with_state(())
}

async fn answer(State(switch): State<Arc<Switch>>, request: Request) -> Response {
    let router =
        wanted(&request).and_then(|name| switch.services.get(name)).unwrap_or(&switch.rest);
    router.clone().oneshot(request).await.unwrap_or_else(|never| match never {})
}

/// The service that a call is for: `/trellis.<service>.v1.…`.
fn wanted(request: &Request) -> Option<&str> {
    let package = request.uri().path().strip_prefix("/trellis.")?;
    match package.split('.').next()? {
        "event" => request.headers().get(CONSUMER)?.to_str().ok(),
        service => Some(service),
    }
}
