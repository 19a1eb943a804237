//! A moment in the past, as people write it.

use std::str::FromStr;

use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use trellis_chassis::Clock;

/// A time, or how long ago that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// At this time.
    Time(OffsetDateTime),
    /// So long ago.
    Ago(Duration),
}

impl Since {
    pub(crate) fn time(self, clock: &dyn Clock) -> OffsetDateTime {
        match self {
            Self::Time(time) => time,
            Self::Ago(ago) => clock.now().checked_sub(ago).unwrap_or(OffsetDateTime::UNIX_EPOCH),
        }
    }
}

impl FromStr for Since {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "must be a time, such as 2026-11-22T10:00:00Z, or how long ago, such as 90s, 15m, 2h or 3d";
        if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
            return Ok(Self::Time(time));
        }
        let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or(EXPECTED)?;
        // More than is kept is all; the limit keeps sums small.
        let number: u32 = number.parse().map_err(|_| EXPECTED)?;
        let number = i64::from(number);
        let ago = match unit {
            "s" => Duration::seconds(number),
            "m" => Duration::minutes(number),
            "h" => Duration::hours(number),
            "d" => Duration::days(number),
            _ => return Err(EXPECTED),
        };
        Ok(Self::Ago(ago))
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_moment_is_a_time_or_how_long_ago_it_is() {
        let read = |text: &str| text.parse::<Since>();
        let time = datetime!(2026-11-22 10:00 UTC);
        assert_eq!(read("2026-11-22T10:00:00Z"), Ok(Since::Time(time)));
        assert_eq!(read("2026-11-22T11:00:00+01:00"), Ok(Since::Time(time)));
        assert_eq!(read("90s"), Ok(Since::Ago(Duration::seconds(90))));
        assert_eq!(read("15m"), Ok(Since::Ago(Duration::minutes(15))));
        assert_eq!(read("2h"), Ok(Since::Ago(Duration::hours(2))));
        assert_eq!(read("3d"), Ok(Since::Ago(Duration::days(3))));
        for text in ["", "h", "2", "-2h", "2w", "2.5h", "2é", "yesterday", "99999999999d"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn more_than_the_calendar_has_is_everything() {
        let clock = trellis_chassis::SystemClock;
        let since: Since = "4294967295d".parse().unwrap();
        assert_eq!(since.time(&clock), OffsetDateTime::UNIX_EPOCH);
    }
}
