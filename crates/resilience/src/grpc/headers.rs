//! The headers in which calls say more than their caller does.

use http::{HeaderMap, HeaderName};

use crate::policy::Criticality;

/// How bad it is to refuse the call, by the [name](Criticality::as_str) of a class.
pub const CRITICALITY: HeaderName = HeaderName::from_static("x-resilience-criticality");

/// How many attempts of the same call were made before (gRFC A6).
pub const PREVIOUS_ATTEMPTS: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");

/// How many hops are retrying, the sender included.
pub const RETRIED_HOPS: HeaderName = HeaderName::from_static("x-resilience-hops-retried");

/// In an answer: how long to wait before the next attempt, in milliseconds; none may
/// follow if it is negative (gRFC A6).
pub const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// What the caller says; `None` if it says nothing, or nothing that is known.
pub(super) fn criticality(headers: &HeaderMap) -> Option<Criticality> {
    let name = headers.get(CRITICALITY)?;
    Criticality::ALL.into_iter().find(|class| class.as_str() == name)
}

/// A number that makes no sense counts as zero, as does none: it only tunes what
/// happens.
pub(super) fn number(headers: &HeaderMap, name: &HeaderName) -> u32 {
    let text = headers.get(name).and_then(|value| value.to_str().ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
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
    fn numbers_are_read_and_nonsense_is_zero() {
        for (text, read) in [("2", 2), ("-1", 0), ("many", 0)] {
            let headers = headers(RETRIED_HOPS, text);
            assert_eq!(number(&headers, &RETRIED_HOPS), read, "{text}");
        }
        assert_eq!(number(&HeaderMap::new(), &RETRIED_HOPS), 0);
    }
}
