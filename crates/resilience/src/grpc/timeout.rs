//! The header `grpc-timeout`: one to eight digits and a unit
//! (gRPC over HTTP2, "Requests").

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::status::DOMAIN;

/// In requests: how long the caller waits.
pub const HEADER: HeaderName = HeaderName::from_static("grpc-timeout");

/// The longest timeout that is read; a longer one is cut to it.
pub const LONGEST: Duration = Duration::from_hours(24);

const DIGITS: usize = 8;
const MOST: u128 = 99_999_999;

/// A timeout that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("grpc-timeout {MEANING}")]
pub struct Malformed;

const MEANING: &str = "must be one to eight digits and one of H, M, S, m, u, n";

/// How long the caller waits from now on, at most [`LONGEST`]; `None` if it does not
/// say. Zero means that it waits no more.
pub fn read(headers: &HeaderMap) -> Result<Option<Duration>, Malformed> {
    match super::lookup::get(headers, &HEADER) {
        Some(value) => parse(value.as_bytes()).map(Some).ok_or(Malformed),
        None => Ok(None),
    }
}

/// Rounds down, so that no peer works on when nobody waits any more.
pub fn write(headers: &mut HeaderMap, timeout: Duration) {
    let units =
        [(b'n', timeout.as_nanos()), (b'u', timeout.as_micros()), (b'm', timeout.as_millis())];
    let (unit, count) = units
        .into_iter()
        .find(|(_, count)| *count <= MOST)
        .unwrap_or((b'S', u128::from(timeout.as_secs()).min(MOST)));
    headers.insert(HEADER, spell(count, unit));
}

fn parse(text: &[u8]) -> Option<Duration> {
    let (unit, digits) = text.split_last()?;
    if digits.is_empty() || DIGITS < digits.len() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count = digits.iter().fold(0, |count, digit| count * 10 + u64::from(digit - b'0'));
    let timeout = match unit {
        b'H' => Duration::from_secs(count * 60 * 60),
        b'M' => Duration::from_secs(count * 60),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return None,
    };
    Some(timeout.min(LONGEST))
}

/// On the stack: this is done for every attempt of every call.
fn spell(mut count: u128, unit: u8) -> HeaderValue {
    let mut text = [unit; DIGITS + 1];
    let mut start = DIGITS;
    loop {
        start -= 1;
        text[start] = b'0' + (count % 10) as u8;
        count /= 10;
        if count == 0 {
            break;
        }
    }
    HeaderValue::from_bytes(&text[start..]).expect("digits and a letter are a header's value")
}

impl From<Malformed> for Status {
    fn from(malformed: Malformed) -> Self {
        let mut details = ErrorDetails::with_error_info("INVALID_FIELD", DOMAIN, []);
        details.add_bad_request_violation(HEADER.as_str(), MEANING);
        Self::with_error_details(Code::InvalidArgument, malformed.to_string(), details)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(timeout: Duration) -> String {
        let mut headers = HeaderMap::new();
        write(&mut headers, timeout);
        headers[HEADER].to_str().unwrap().to_owned()
    }

    #[test]
    fn every_unit_of_the_specification_is_read() {
        assert_eq!(parse(b"2H"), Some(Duration::from_hours(2)));
        assert_eq!(parse(b"3M"), Some(Duration::from_mins(3)));
        assert_eq!(parse(b"4S"), Some(Duration::from_secs(4)));
        assert_eq!(parse(b"5m"), Some(Duration::from_millis(5)));
        assert_eq!(parse(b"6u"), Some(Duration::from_micros(6)));
        assert_eq!(parse(b"99999999n"), Some(Duration::from_nanos(99_999_999)));
        assert_eq!(parse(b"0n"), Some(Duration::ZERO));
    }

    #[test]
    fn what_the_specification_does_not_know_is_refused() {
        for text in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "123456789n", "1\u{e9}", " 1S"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_malformed_timeout_names_the_header() {
        let headers = HeaderMap::from_iter([(HEADER, HeaderValue::from_static("soon"))]);

        let status = Status::from(read(&headers).unwrap_err());

        assert_eq!(status.code(), Code::InvalidArgument);
        let violations = status.get_details_bad_request().unwrap().field_violations;
        assert_eq!(violations[0].field, "grpc-timeout");
        assert!(status.message().starts_with("grpc-timeout must be"), "{}", status.message());
    }

    #[test]
    fn no_timeout_is_no_error() {
        assert_eq!(read(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn an_endless_timeout_is_cut() {
        assert_eq!(parse(b"99999999H"), Some(LONGEST));
    }

    #[test]
    fn a_timeout_is_written_rounded_down_in_eight_digits() {
        assert_eq!(written(Duration::ZERO), "0n");
        assert_eq!(written(Duration::from_nanos(99_999_999)), "99999999n");
        assert_eq!(written(Duration::from_nanos(100_000_999)), "100000u");
        assert_eq!(written(Duration::from_secs(10)), "10000000u");
        assert_eq!(written(Duration::from_secs(100)), "100000m");
        assert_eq!(written(LONGEST), "86400000m");
        assert_eq!(written(Duration::from_secs(100_000)), "100000S");
        assert_eq!(written(Duration::MAX), "99999999S");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_no_more_and_nearly_as_much(
            nanos in prop_oneof![0_u64..1_000_000_000, 0_u64..86_400_000_000_000],
        ) {
            let timeout = Duration::from_nanos(nanos);

            let text = written(timeout);
            let read = parse(text.as_bytes()).unwrap();

            prop_assert!(text.len() <= 9, "{text}");
            prop_assert!(read <= timeout);
            // Eight digits: what is lost is below one part in a hundred thousand.
            prop_assert!(timeout <= read + timeout / 90_000, "{timeout:?} as {text}");
        }

        #[test]
        fn no_bytes_can_confuse_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let expected = bytes.len() >= 2
                && bytes.len() <= 9
                && bytes[..bytes.len() - 1].iter().all(u8::is_ascii_digit)
                && b"HMSmun".contains(&bytes[bytes.len() - 1]);

            prop_assert_eq!(parse(&bytes).is_some(), expected);
        }

        #[test]
        fn every_well_formed_timeout_is_read(count in 0_u32..100_000_000, unit in "[HMSmun]") {
            let text = format!("{count}{unit}");

            let read = parse(text.as_bytes());

            prop_assert!(read.is_some_and(|timeout| timeout <= LONGEST), "{text}");
        }
    }
}
