//! What a peer says about the next attempt.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::core::outcome::Pushback;
use crate::grpc::headers::PUSHBACK;

const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// `grpc-retry-pushback-ms`, else `google.rpc.RetryInfo` among the details.
pub(super) fn of_grpc(headers: &HeaderMap) -> Option<Pushback> {
    of_milliseconds(headers).or_else(|| of_details(headers.get(DETAILS)?))
}

/// `grpc-retry-pushback-ms`, else `Retry-After` in seconds.
pub(super) fn of_http(headers: &HeaderMap) -> Option<Pushback> {
    of_milliseconds(headers).or_else(|| {
        let seconds = number(headers.get(header::RETRY_AFTER)?)?;
        Some(Pushback::After(Duration::from_secs(seconds)))
    })
}

/// Removes the details of a status if they are not base64, upon which whoever decodes
/// the status might panic. The code and the message stay.
pub fn disarm(headers: &mut HeaderMap) {
    // Without a code beside them, nobody looks at them.
    if headers.len() > 1 && headers.get(DETAILS).is_some_and(|value| decoded(value).is_none()) {
        headers.remove(DETAILS);
    }
}

/// A negative number says that there should be no next attempt, and so does all else
/// (gRFC A6).
fn of_milliseconds(headers: &HeaderMap) -> Option<Pushback> {
    let mut values = headers.get_all(PUSHBACK).iter();
    let first = values.next()?;
    let only = values.next().is_none().then_some(first);
    let delay = only.and_then(number).map(Duration::from_millis);
    Some(delay.map_or(Pushback::Stop, Pushback::After))
}

fn of_details(value: &HeaderValue) -> Option<Pushback> {
    let status = Status::with_details(Code::Unknown, "", decoded(value)?);
    status.get_details_retry_info()?.retry_delay.map(Pushback::After)
}

fn decoded(value: &HeaderValue) -> Option<bytes::Bytes> {
    let alone = HeaderMap::from_iter([(DETAILS, value.clone())]);
    MetadataMap::from_headers(alone).get_bin(DETAILS.as_str())?.to_bytes().ok()
}

fn number(value: &HeaderValue) -> Option<u64> {
    let digits = value.to_str().ok()?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}
