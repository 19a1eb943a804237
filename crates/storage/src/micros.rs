//! Moments as SQLite stores them: INTEGER microseconds since the Unix epoch.

use time::{OffsetDateTime, PrimitiveDateTime};

const NANOS_PER_MICRO: i128 = 1_000;

/// Microseconds since the Unix epoch, rounded down.
pub fn micros(moment: OffsetDateTime) -> i64 {
    let micros = moment.unix_timestamp_nanos().div_euclid(NANOS_PER_MICRO);
    i64::try_from(micros).expect("the years -9999 to 9999 fit into 64 bits of microseconds")
}

/// The moment `micros` after the Unix epoch, in UTC.
///
/// What lies beyond the calendar becomes its first or its last moment.
pub fn from_micros(micros: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * NANOS_PER_MICRO).unwrap_or_else(
        |_| {
            let end = if micros < 0 { PrimitiveDateTime::MIN } else { PrimitiveDateTime::MAX };
            end.assume_utc()
        },
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_stored_moment_comes_back_whole(stored in -377_705_116_800_000_000_i64..253_402_300_800_000_000) {
            prop_assert_eq!(micros(from_micros(stored)), stored);
        }

        #[test]
        fn no_number_is_refused(stored: i64) {
            from_micros(stored);
        }
    }

    #[test]
    fn a_moment_is_rounded_down() {
        let moment = OffsetDateTime::from_unix_timestamp_nanos(-1).unwrap();
        assert_eq!(micros(moment), -1);
        assert_eq!(micros(OffsetDateTime::UNIX_EPOCH), 0);
    }
}
