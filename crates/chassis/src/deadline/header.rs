//! The header `grpc-timeout`: at most eight digits and a unit.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::Status;
use trellis_api::error::{Invalid, Violation};

use super::LONGEST;

const NAME: HeaderName = HeaderName::from_static("grpc-timeout");
const MOST: u128 = 99_999_999;

/// The deadline that a caller set, at most [`LONGEST`].
pub(crate) fn parse(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(value) = headers.get(NAME) else {
        return Ok(None);
    };
    match value.to_str().ok().and_then(read) {
        Some(timeout) => Ok(Some(timeout.min(LONGEST))),
        None => Err(Invalid::from(Violation::new(
            NAME.as_str(),
            "must be one to eight digits and one of H, M, S, m, u, n",
        ))
        .into()),
    }
}

/// Rounds down, so that no peer works on when nobody waits any more.
pub(crate) fn write(headers: &mut HeaderMap, timeout: Duration) {
    let units = [('n', timeout.as_nanos()), ('u', timeout.as_micros()), ('m', timeout.as_millis())];
    let (unit, count) = units
        .into_iter()
        .find(|(_, count)| *count <= MOST)
        .unwrap_or(('S', u128::from(timeout.as_secs()).min(MOST)));
    let value = HeaderValue::try_from(format!("{count}{unit}"))
        .expect("digits and a letter are a header's value");
    headers.insert(NAME, value);
}

fn read(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || 8 < digits.len() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 60 * 60)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_of_the_specification_is_read() {
        let seconds = |text| read(text).unwrap().as_secs_f64();

        assert_eq!(read("2H"), Some(Duration::from_hours(2)));
        assert_eq!(read("3M"), Some(Duration::from_mins(3)));
        assert_eq!(read("4S"), Some(Duration::from_secs(4)));
        assert!((seconds("5m") - 0.005).abs() < 1e-12);
        assert!((seconds("6u") - 0.000_006).abs() < 1e-12);
        assert_eq!(read("99999999n"), Some(Duration::from_nanos(99_999_999)));
    }

    #[test]
    fn what_the_specification_does_not_know_is_refused() {
        for text in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "123456789n", "1é"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn an_endless_deadline_is_cut() {
        let headers = HeaderMap::from_iter([(NAME, HeaderValue::from_static("99999999H"))]);

        assert_eq!(parse(&headers).unwrap(), Some(LONGEST));
    }

    #[test]
    fn a_deadline_is_written_rounded_down_in_eight_digits() {
        let written = |timeout| {
            let mut headers = HeaderMap::new();
            write(&mut headers, timeout);
            headers[NAME].to_str().unwrap().to_owned()
        };

        assert_eq!(written(Duration::from_nanos(99_999_999)), "99999999n");
        assert_eq!(written(Duration::from_nanos(100_000_999)), "100000u");
        assert_eq!(written(Duration::from_secs(10)), "10000000u");
        assert_eq!(written(Duration::from_secs(100)), "100000m");
        assert_eq!(written(LONGEST), "86400000m");
    }
}
