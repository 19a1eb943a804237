//! Points in time, on the wire.

use prost_types::Timestamp;
use time::OffsetDateTime;

/// Says it the protobuf way.
pub fn to_proto(time: OffsetDateTime) -> Timestamp {
    Timestamp {
        seconds: time.unix_timestamp(),
        nanos: i32::try_from(time.nanosecond()).expect("a second has fewer nanoseconds"),
    }
}

/// Reads it, if it is a time between the years -9999 and 9999.
pub fn from_proto(timestamp: &Timestamp) -> Option<OffsetDateTime> {
    let nanos = u32::try_from(timestamp.nanos).ok()?;
    OffsetDateTime::from_unix_timestamp(timestamp.seconds).ok()?.replace_nanosecond(nanos).ok()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_time_survives_the_wire() {
        for time in
            [datetime!(2026-11-22 10:00:00.123456 UTC), datetime!(1969-12-31 23:59:59.9 UTC)]
        {
            assert_eq!(from_proto(&to_proto(time)), Some(time));
        }
    }

    #[test]
    fn an_impossible_time_is_refused() {
        assert_eq!(from_proto(&Timestamp { seconds: i64::MAX, nanos: 0 }), None);
        assert_eq!(from_proto(&Timestamp { seconds: 0, nanos: -1 }), None);
    }
}
