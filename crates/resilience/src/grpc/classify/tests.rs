use std::io;

use http::HeaderValue;
use tonic_types::{ErrorDetails, StatusExt as _};

use super::*;
use crate::core::outcome::{FailureKind, Health, Pushback, RetrySafety};
use crate::grpc::headers::PUSHBACK;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    let mut map = HeaderMap::new();
    for (name, value) in pairs.iter().map(pair) {
        map.append(name, value);
    }
    map
}

fn of_code(code: Code) -> Verdict {
    let number = (code as i32).to_string();
    head(StatusCode::OK, &headers(&[("grpc-status", &number)])).unwrap().verdict
}

fn pushback(values: &[&str]) -> Option<Pushback> {
    let mut map = headers(&[("grpc-status", "14")]);
    for value in values {
        map.append(PUSHBACK, HeaderValue::from_str(value).unwrap());
    }
    head(StatusCode::OK, &map).unwrap().verdict.pushback
}

#[test]
fn what_a_peer_refuses_is_a_success_of_the_peer() {
    for code in [
        Code::Ok,
        Code::InvalidArgument,
        Code::NotFound,
        Code::AlreadyExists,
        Code::PermissionDenied,
        Code::Unauthenticated,
        Code::FailedPrecondition,
        Code::Aborted,
        Code::OutOfRange,
        Code::Unimplemented,
    ] {
        assert_eq!(of_code(code), Verdict::SUCCESS, "{code:?}");
    }
}

#[test]
fn what_a_peer_fails_in_is_a_failure_and_only_some_of_it_is_tried_again() {
    let server = FailureKind::Server;
    let expected = [
        (Code::Unavailable, server, RetrySafety::IfIdempotent),
        (Code::Internal, server, RetrySafety::Never),
        (Code::DataLoss, server, RetrySafety::Never),
        (Code::Unknown, server, RetrySafety::Never),
        (Code::DeadlineExceeded, FailureKind::Timeout, RetrySafety::IfIdempotent),
        (Code::Cancelled, FailureKind::Timeout, RetrySafety::IfIdempotent),
    ];

    for (code, kind, retry) in expected {
        assert_eq!(of_code(code), Verdict::failure(kind, retry), "{code:?}");
    }
}

#[test]
fn internal_may_be_tried_again_where_the_policy_says_so() {
    let internal = head(StatusCode::OK, &headers(&[("grpc-status", "13")])).unwrap();
    let unknown = head(StatusCode::OK, &headers(&[("grpc-status", "2")])).unwrap();

    assert_eq!(internal.with_internal_retried().verdict.retry, RetrySafety::IfIdempotent);
    assert_eq!(unknown.with_internal_retried().verdict.retry, RetrySafety::Never);
}

#[test]
fn a_peer_that_has_too_much_to_do_is_only_asked_again_if_it_says_when() {
    let plain = of_code(Code::ResourceExhausted);
    let with = |value| headers(&[("grpc-status", "8"), ("grpc-retry-pushback-ms", value)]);
    let later = head(StatusCode::OK, &with("20")).unwrap().verdict;
    let never = head(StatusCode::OK, &with("-1")).unwrap().verdict;

    assert_eq!((plain.health, plain.retry), (Health::Degraded, RetrySafety::Never));
    assert_eq!((later.health, later.retry), (Health::Degraded, RetrySafety::IfIdempotent));
    assert_eq!((never.health, never.retry), (Health::Degraded, RetrySafety::Never));
}

#[test]
fn a_head_without_a_status_is_only_the_beginning() {
    assert_eq!(head(StatusCode::OK, &HeaderMap::new()), None);
}

#[test]
fn an_end_without_a_status_is_no_end() {
    let protocol = Verdict::failure(FailureKind::Protocol, RetrySafety::IfIdempotent);

    assert_eq!(end(None).verdict, protocol);
    assert_eq!(end(Some(&HeaderMap::new())).verdict, protocol);
    assert_eq!(end(Some(&headers(&[("grpc-status", "0")]))).verdict, Verdict::SUCCESS);
}

#[test]
fn a_status_that_is_not_a_number_is_a_failure() {
    let verdict = end(Some(&headers(&[("grpc-status", "ok")]))).verdict;

    assert_eq!(verdict.health, Health::Failure(FailureKind::Server));
}

#[test]
fn proxies_are_understood() {
    let of = |status| head(status, &HeaderMap::new()).unwrap();

    for status in [502, 503, 504].map(|status| StatusCode::from_u16(status).unwrap()) {
        assert_eq!(of(status).code, Code::Unavailable, "{status}");
        assert_eq!(of(status).verdict.health, Health::Failure(FailureKind::Server), "{status}");
    }
    assert_eq!(of(StatusCode::TOO_MANY_REQUESTS).verdict.health, Health::Degraded);
    assert_eq!(of(StatusCode::UNAUTHORIZED).verdict, Verdict::SUCCESS);
    assert_eq!(of(StatusCode::IM_A_TEAPOT).code, Code::Unknown);
}

#[test]
fn a_proxy_may_say_when_to_come_back() {
    let late = headers(&[("retry-after", "2")]);
    let verdict = head(StatusCode::TOO_MANY_REQUESTS, &late).unwrap().verdict;

    assert_eq!(verdict.pushback, Some(Pushback::After(std::time::Duration::from_secs(2))));
    assert_eq!(verdict.retry, RetrySafety::IfIdempotent);
}

#[test]
fn a_pushback_is_exact_and_what_is_not_one_number_says_stop() {
    let millis = |millis| Some(Pushback::After(std::time::Duration::from_millis(millis)));

    assert_eq!(pushback(&[]), None);
    assert_eq!(pushback(&["250"]), millis(250));
    assert_eq!(pushback(&["0"]), millis(0));
    for garbage in ["-1", "abc", "", "+5", "1.5", "99999999999999999999999"] {
        assert_eq!(pushback(&[garbage]), Some(Pushback::Stop), "{garbage}");
    }
    assert_eq!(pushback(&["10", "20"]), Some(Pushback::Stop));
}

#[test]
fn retry_info_is_read_and_the_header_wins_over_it() {
    let delay = std::time::Duration::from_millis(1500);
    let details = ErrorDetails::with_retry_info(Some(delay));
    let status = Status::with_error_details(Code::Unavailable, "later", details);
    let mut map = HeaderMap::new();
    status.add_header(&mut map).unwrap();

    assert_eq!(end(Some(&map)).verdict.pushback, Some(Pushback::After(delay)));

    map.insert(PUSHBACK, HeaderValue::from_static("-1"));
    assert_eq!(end(Some(&map)).verdict.pushback, Some(Pushback::Stop));
}

/// Behaviour 39.
#[test]
fn malformed_details_cannot_make_anyone_panic() {
    for details in ["%%%", "AAAA=A", "not base64", "AAAA", "/////w=="] {
        let mut map = headers(&[("grpc-status", "14"), ("grpc-status-details-bin", details)]);

        let answer = end(Some(&map));
        disarm(&mut map);
        let status = Status::from_header_map(&map).unwrap();

        assert_eq!((answer.code, status.code()), (Code::Unavailable, Code::Unavailable));
        assert_eq!(answer.verdict.pushback, None);
    }
}

#[test]
fn details_that_can_be_read_are_left_alone() {
    let details = ErrorDetails::with_retry_info(Some(std::time::Duration::from_secs(1)));
    let mut map = HeaderMap::new();
    Status::with_error_details(Code::Unavailable, "", details).add_header(&mut map).unwrap();
    let before = map.clone();

    disarm(&mut map);

    assert_eq!(map, before);
}

#[test]
fn what_was_never_sent_may_always_be_sent_again() {
    let unsent = SendError { kind: FailureKind::Unsent, source: "refused".into() };
    let refused = tonic::ConnectError(io::Error::from(io::ErrorKind::ConnectionRefused).into());
    let expired = tonic::TimeoutExpired(());
    let reset = io::Error::from(io::ErrorKind::ConnectionReset);

    assert_eq!(kind_of(&unsent), FailureKind::Unsent);
    assert_eq!(kind_of(&refused), FailureKind::Unsent);
    assert_eq!(kind_of(&expired), FailureKind::Timeout);
    assert_eq!(kind_of(&reset), FailureKind::ConnectionLost);
    assert_eq!(kind_of(&io::Error::other(refused)), FailureKind::Unsent);

    assert_eq!(lost(FailureKind::Unsent).retry, RetrySafety::Always);
    assert_eq!(lost(FailureKind::ConnectionLost).retry, RetrySafety::IfIdempotent);
    assert_eq!(lost(FailureKind::Timeout).retry, RetrySafety::IfIdempotent);
}
