//! What the head of a request says about the call.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use tokio::time::Instant;

use crate::context::Inbound;
use crate::policy::Criticality;

const CRITICALITY: &str = "x-resilience-criticality";
const PREVIOUS_ATTEMPTS: &str = "grpc-previous-rpc-attempts";
const RETRIED_HOPS: &str = "x-resilience-hops-retried";

/// Calls of these services are answered however much there is to do: who asks them
/// decides whether this server gets any calls at all.
const ALWAYS_ANSWERED: [&str; 2] = ["/grpc.health.v1.Health/", "/grpc.reflection."];

pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

pub(super) fn is_always_answered(path: &str) -> bool {
    ALWAYS_ANSWERED.iter().any(|service| path.starts_with(service))
}

/// What calls made for this one have to know. A number that makes no sense counts as
/// zero: it only tunes what happens.
pub(super) fn inbound(
    headers: &HeaderMap,
    deadline: Option<Instant>,
    criticality: Criticality,
) -> Inbound {
    Inbound {
        deadline,
        criticality,
        previous_attempts: number(headers, PREVIOUS_ATTEMPTS),
        retried_hops: number(headers, RETRIED_HOPS),
    }
}

/// What the caller says; `None` if it says nothing, or nothing that is known.
pub(super) fn criticality(headers: &HeaderMap) -> Option<Criticality> {
    match headers.get(CRITICALITY)?.as_bytes() {
        b"critical-plus" => Some(Criticality::CriticalPlus),
        b"critical" => Some(Criticality::Critical),
        b"sheddable-plus" => Some(Criticality::SheddablePlus),
        b"sheddable" => Some(Criticality::Sheddable),
        _ => None,
    }
}

fn number(headers: &HeaderMap, name: &str) -> u32 {
    let text = headers.get(name).and_then(|value| value.to_str().ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))])
    }

    #[test]
    fn the_classes_are_known_by_their_names() {
        for (name, class) in [
            ("critical-plus", Some(Criticality::CriticalPlus)),
            ("critical", Some(Criticality::Critical)),
            ("sheddable-plus", Some(Criticality::SheddablePlus)),
            ("sheddable", Some(Criticality::Sheddable)),
            ("urgent", None),
        ] {
            assert_eq!(criticality(&headers(CRITICALITY, name)), class, "{name}");
        }
        assert_eq!(criticality(&HeaderMap::new()), None);
    }

    #[test]
    fn attempts_and_hops_are_read_and_nonsense_is_zero() {
        let inbound = |headers| inbound(&headers, None, Criticality::Critical);

        assert_eq!(inbound(headers(PREVIOUS_ATTEMPTS, "2")).previous_attempts, 2);
        assert_eq!(inbound(headers(RETRIED_HOPS, "1")).retried_hops, 1);
        assert_eq!(inbound(headers(RETRIED_HOPS, "-1")).retried_hops, 0);
        assert_eq!(inbound(headers(RETRIED_HOPS, "many")).retried_hops, 0);
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
