//! The gRPC call in the middle.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderName, Request, Response, header};
use http_body_util::Full;
use prost::Message as _;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use tonic::Status;
use tower::{Service as _, ServiceExt as _};
use trellis_chassis::transport::Transport;

use crate::consistency;

/// What an HTTP caller may say to the RPC. Its trace is passed on by the road.
const PASSED_ON: [HeaderName; 3] =
    [header::AUTHORIZATION, HeaderName::from_static("grpc-timeout"), consistency::HEADER];

/// Calls the RPC with one message.
pub(super) async fn send(
    grpc: &Transport,
    method: &MethodDescriptor,
    parts: &Parts,
    message: &DynamicMessage,
) -> Result<Response<tonic::body::Body>, Status> {
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let body = tonic::body::Body::new(Full::new(frame(message)));
    let mut request = Request::post(path)
        .version(http::Version::HTTP_2)
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .body(body)
        .map_err(|_| trellis_api::error::internal())?;
    for name in PASSED_ON {
        if let Some(value) = parts.headers.get(&name) {
            request.headers_mut().insert(name, value.clone());
        }
    }
    // The caller's address and the like.
    *request.extensions_mut() = parts.extensions.clone();
    grpc.clone().ready().await?.call(request).await
}

/// A gRPC frame: uncompressed, with its length.
fn frame(message: &DynamicMessage) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(5 + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).expect("a message is hardly larger than its JSON"));
    message.encode(&mut frame).expect("the buffer grows");
    frame.freeze()
}
