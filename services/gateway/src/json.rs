//! HTTP/JSON for every RPC, from its `google.api.http` annotation.
//!
//! There is no route in this code: a new RPC with an annotation is served. The
//! JSON is protobuf's canonical mapping, errors have the shape of Google's APIs,
//! a stream is a line of JSON for each message.
//!
//! A request becomes a gRPC call to the gateway's own server, so both roads meet
//! the same limits, deadlines and handlers.

mod binding;
mod call;
mod request;
mod response;

use axum::body::Body;
use http::{HeaderMap, Request, Response, header};
use prost_reflect::DescriptorPool;
use tonic::Status;
use trellis_chassis::trace;
use trellis_chassis::transport::Transport;

use crate::caching;
use binding::Bindings;

/// Turns HTTP/JSON into gRPC and back.
#[derive(Clone)]
pub(crate) struct Transcoder {
    bindings: std::sync::Arc<Bindings>,
    pool: DescriptorPool,
    grpc: Transport,
}

impl Transcoder {
    /// Serves the annotated RPCs that `grpc` answers.
    pub(crate) fn new(grpc: Transport) -> anyhow::Result<Self> {
        let mut pool = DescriptorPool::decode(trellis_api::FILE_DESCRIPTOR_SET)?;
        // Error details are rendered too, so their descriptors must be known.
        pool.decode_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)?;
        let bindings = Bindings::read(&pool)?;
        Ok(Self { bindings: std::sync::Arc::new(bindings), pool, grpc })
    }

    /// Answers one HTTP request.
    pub(crate) async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let if_none_match = request.headers().get(header::IF_NONE_MATCH).cloned();
        let bound = match self.bindings.find(request.method(), request.uri().path()) {
            Ok(bound) => bound,
            Err(refusal) => return refusal.into_response(),
        };
        trace::route(&request, &bound.route);
        let method = bound.method.clone();
        let policy = caching::policy(method.full_name());
        let answer = match self.call(bound, request).await {
            Ok(answer) => answer,
            Err(status) => response::error(&self.pool, &status, &HeaderMap::new()),
        };
        caching::apply(policy, answer, if_none_match.as_ref()).await
    }

    async fn call(
        &self,
        bound: binding::Bound,
        request: Request<Body>,
    ) -> Result<Response<Body>, Status> {
        let (parts, body) = request.into_parts();
        let body = request::read(body).await?;
        let message = request::message(&bound, &parts, &body)?;
        let answer = call::send(&self.grpc, &bound.method, &parts, &message).await?;
        if bound.method.is_server_streaming() {
            return Ok(response::stream(&self.pool, &bound.method, answer));
        }
        response::unary(&self.pool, &bound.method, answer).await
    }
}

/// Renders an error that was found before any RPC was called.
pub(crate) fn error(pool: &DescriptorPool, status: &Status) -> Response<Body> {
    response::error(pool, status, &HeaderMap::new())
}
