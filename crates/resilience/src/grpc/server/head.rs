//! What the head of a request says about the call.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use tokio::time::Instant;

use crate::context::Inbound;
use crate::grpc::headers;
use crate::policy::Criticality;

/// Calls of these services are answered however much there is to do: who asks them
/// decides whether this server gets any calls at all.
const ALWAYS_ANSWERED: [&str; 2] = ["/grpc.health.v1.Health/", "/grpc.reflection."];

pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

pub(super) fn is_always_answered(path: &str) -> bool {
    ALWAYS_ANSWERED.iter().any(|service| path.starts_with(service))
}

/// What calls made for this one have to know.
pub(super) fn inbound(
    headers: &HeaderMap,
    deadline: Option<Instant>,
    criticality: Criticality,
) -> Inbound {
    Inbound {
        deadline,
        criticality,
        previous_attempts: headers::number(headers, &headers::PREVIOUS_ATTEMPTS),
        retried_hops: headers::number(headers, &headers::RETRIED_HOPS),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))])
    }

    #[test]
    fn health_and_reflection_are_known_by_their_paths() {
        assert!(is_always_answered("/grpc.health.v1.Health/Check"));
        assert!(is_always_answered("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"));
        assert!(!is_always_answered("/shop.Health/Check"));
    }

    #[test]
    fn grpc_is_known_by_its_content_type() {
        assert!(is_grpc(&headers("content-type", "application/grpc")));
        assert!(is_grpc(&headers("content-type", "application/grpc+proto")));
        assert!(!is_grpc(&headers("content-type", "application/json")));
        assert!(!is_grpc(&HeaderMap::new()));
    }
}
