//! What was looked at.

use time::{Duration, OffsetDateTime};
use trellis_api::Sku;

/// An hour of the calendar, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(i64);

/// One look at a product's page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub sku: Sku,
    pub hour: Hour,
}

/// How often a product was looked at in an hour, so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HourViews {
    /// Its place in the order of changes, from 1; each change gives a new one.
    pub version: i64,
    pub view: View,
    pub count: u32,
}

impl Hour {
    /// How many hours count; older views say nothing about demand.
    pub const KEPT: i64 = 7 * 24;

    /// The hour that holds `time`.
    pub fn of(time: OffsetDateTime) -> Self {
        Self(time.unix_timestamp().div_euclid(3_600))
    }

    /// When it begins.
    pub fn start(self) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::hours(self.0)
    }

    /// The oldest hour that still counts when this one is the newest.
    #[must_use]
    pub fn oldest_kept(self) -> Self {
        Self(self.0 - Self::KEPT)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn an_hour_begins_when_the_clock_strikes() {
        let hour = Hour::of(datetime!(2026-11-22 10:59:59.9 UTC));

        assert_eq!(hour.start(), datetime!(2026-11-22 10:00 UTC));
        assert_eq!(
            Hour::of(datetime!(1969-12-31 23:30 UTC)).start(),
            datetime!(1969-12-31 23:00 UTC)
        );
        assert_eq!(hour.oldest_kept().start(), datetime!(2026-11-15 10:00 UTC));
    }
}
