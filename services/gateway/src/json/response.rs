//! From what an RPC answers to an HTTP response.

use axum::body::Body;
use bytes::{Buf as _, Bytes, BytesMut};
use futures::stream::{self, Stream};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor};
use serde_json::{Value, json};
use tonic::{Code, Status};
use trellis_api::error;
use trellis_chassis::trace::Cause;

/// What the RPC may say to an HTTP caller.
const PASSED_ON: [&str; 3] = ["cache-control", "consistency-token", "idempotency-replayed"];

type Answer = Response<tonic::body::Body>;

/// Renders the one message of a unary RPC, or its error.
pub(super) async fn unary(
    pool: &DescriptorPool,
    method: &MethodDescriptor,
    answer: Answer,
) -> Result<Response<Body>, Status> {
    let (parts, body) = answer.into_parts();
    let body = body.collect().await?;
    let trailers = body.trailers().cloned().unwrap_or_default();
    let status = Status::from_header_map(&trailers)
        .or_else(|| Status::from_header_map(&parts.headers))
        .ok_or_else(error::internal)?;
    if status.code() != Code::Ok {
        return Ok(self::error(pool, &status, &parts.headers));
    }
    let mut bytes = BytesMut::from(body.to_bytes().as_ref());
    let message = next_frame(&mut bytes).ok_or_else(error::internal)?;
    let text = render(&method.output(), message)?;
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    pass_on(&parts.headers, headers);
    pass_on(&trailers, headers);
    Ok(response)
}

/// Renders a stream as lines of JSON; an error is the last line.
pub(super) fn stream(
    pool: &DescriptorPool,
    method: &MethodDescriptor,
    answer: Answer,
) -> Response<Body> {
    let (parts, body) = answer.into_parts();
    // Trailers-only: the call failed before the first message.
    if let Some(status) = Status::from_header_map(&parts.headers).filter(|s| s.code() != Code::Ok) {
        return error(pool, &status, &parts.headers);
    }
    let lines = lines(pool.clone(), method.output(), body);
    let mut response = Response::new(Body::from_stream(lines));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    pass_on(&parts.headers, headers);
    response
}

/// Renders an error in the shape of Google's APIs.
pub(super) fn error(pool: &DescriptorPool, status: &Status, headers: &HeaderMap) -> Response<Body> {
    let code = http_code(status);
    let mut response = Response::new(Body::from(error_object(pool, status).to_string()));
    *response.status_mut() = code;
    response.extensions_mut().insert(Cause::of(status));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(delay) = error::retry_after(status) {
        // The header counts whole seconds; zero would mean "at once".
        let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() != 0);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if code == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    }
    pass_on(headers, response.headers_mut());
    response
}

fn lines(
    pool: DescriptorPool,
    output: MessageDescriptor,
    body: tonic::body::Body,
) -> impl Stream<Item = Result<String, std::convert::Infallible>> {
    let state = Some((body, BytesMut::new()));
    stream::unfold(state, move |state| {
        let (pool, output) = (pool.clone(), output.clone());
        async move {
            let (mut body, mut buffer) = state?;
            loop {
                if let Some(message) = next_frame(&mut buffer) {
                    return Some(match render(&output, message) {
                        Ok(text) => (Ok(text + "\n"), Some((body, buffer))),
                        Err(status) => (Ok(error_line(&pool, &status)), None),
                    });
                }
                let ended = match body.frame().await {
                    None => return None,
                    Some(Err(status)) => status,
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) => {
                            buffer.extend_from_slice(&data);
                            continue;
                        }
                        Err(frame) => Status::from_header_map(frame.trailers_ref()?)?,
                    },
                };
                let failed = ended.code() != Code::Ok;
                return failed.then(|| (Ok(error_line(&pool, &ended)), None));
            }
        }
    })
}

fn error_line(pool: &DescriptorPool, status: &Status) -> String {
    error_object(pool, status).to_string() + "\n"
}

/// Takes one whole gRPC frame off the front, if there is one.
fn next_frame(buffer: &mut BytesMut) -> Option<Bytes> {
    let head: [u8; 5] = buffer.get(..5)?.try_into().ok()?;
    let [_, length @ ..] = head;
    let length = u32::from_be_bytes(length) as usize;
    if buffer.len() < 5 + length {
        return None;
    }
    buffer.advance(5);
    Some(buffer.split_to(length).freeze())
}

fn render(output: &MessageDescriptor, message: Bytes) -> Result<String, Status> {
    let options = prost_reflect::SerializeOptions::new().skip_default_fields(false);
    let message = DynamicMessage::decode(output.clone(), message).map_err(|_| error::internal())?;
    let mut text = Vec::new();
    message
        .serialize_with_options(&mut serde_json::Serializer::new(&mut text), &options)
        .map_err(|_| error::internal())?;
    String::from_utf8(text).map_err(|_| error::internal())
}

fn error_object(pool: &DescriptorPool, status: &Status) -> Value {
    let details = pool
        .get_message_by_name("google.rpc.Status")
        .and_then(|kind| DynamicMessage::decode(kind, status.details()).ok())
        .and_then(|details| serde_json::to_value(details).ok())
        .and_then(|mut details| details.get_mut("details").map(Value::take))
        .unwrap_or_else(|| json!([]));
    json!({
        "error": {
            "code": http_code(status).as_u16(),
            "message": status.message(),
            "status": error::code_name(status.code()),
            "details": details,
        }
    })
}

/// The HTTP code of google/rpc/code.proto, with two that say more.
fn http_code(status: &Status) -> StatusCode {
    match error::reason(status).as_deref() {
        Some("IDEMPOTENCY_KEY_REUSED") => return StatusCode::UNPROCESSABLE_ENTITY,
        Some("BODY_TOO_LARGE") => return StatusCode::PAYLOAD_TOO_LARGE,
        _ => {}
    }
    match status.code() {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
            StatusCode::BAD_REQUEST
        }
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Cancelled => StatusCode::from_u16(499).expect("499 is a status code"),
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn pass_on(from: &HeaderMap, to: &mut HeaderMap) {
    for name in PASSED_ON {
        if let Some(value) = from.get(name) {
            to.insert(name, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn pool() -> DescriptorPool {
        let mut pool = DescriptorPool::decode(trellis_api::FILE_DESCRIPTOR_SET).unwrap();
        pool.decode_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET).unwrap();
        pool
    }

    #[test]
    fn an_error_says_its_reason_in_json() {
        let status =
            error::status(Code::FailedPrecondition, "OUT_OF_STOCK", "sold out", &[("sku", "MUG")]);

        let object = error_object(&pool(), &status);

        assert_eq!(object["error"]["status"], "FAILED_PRECONDITION");
        assert_eq!(object["error"]["details"][0]["reason"], "OUT_OF_STOCK");
        assert_eq!(object["error"]["details"][0]["metadata"]["sku"], "MUG");
    }

    #[test]
    fn a_busy_shop_says_when_to_come_back_in_whole_seconds() {
        let status = error::unavailable("BUSY", "busy", Duration::from_millis(1_500));

        let response = self::error(&pool(), &status, &HeaderMap::new());

        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["retry-after"], "2");
    }
}
