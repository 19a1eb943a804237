//! Places in the log of a database.

use std::{fmt, str::FromStr};

/// A place in the write-ahead log of a Postgres cluster.
///
/// Positions are ordered by timeline first: a promoted server goes on, on a new timeline,
/// from where it was, so whatever outlived the old primary is before all of the new one's.
/// The default is before everything.
///
/// As text it is `timeline:place`, of which the first is decimal and the second
/// hexadecimal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Counts the promotions since the cluster was made, from 1.
    pub timeline: u32,
    /// How many bytes of log there are before it (a "log sequence number").
    pub lsn: u64,
}

impl Position {
    /// Whether a server that has `self` has all that there was at `needed`.
    ///
    /// It may be on a later timeline. What of the older one did not get there is lost on
    /// every server, and no reason to wait.
    pub fn has(self, needed: Self) -> bool {
        needed.timeline <= self.timeline && needed.lsn <= self.lsn
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{:X}", self.timeline, self.lsn)
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (timeline, lsn) = text.split_once(':').ok_or(())?;
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_plain(timeline) || !is_plain(lsn) {
            return Err(());
        }
        let timeline = timeline.parse().map_err(|_| ())?;
        Ok(Self { timeline, lsn: u64::from_str_radix(lsn, 16).map_err(|_| ())? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(timeline: u32, lsn: u64) -> Position {
        Position { timeline, lsn }
    }

    #[test]
    fn a_server_has_what_is_before_it_on_its_own_timeline_and_on_older_ones() {
        assert!(at(1, 10).has(at(1, 10)));
        assert!(!at(1, 9).has(at(1, 10)));
        assert!(at(2, 11).has(at(1, 10)));
        assert!(!at(2, 9).has(at(1, 10)), "it may still be on its way through the older one");
        assert!(!at(1, 11).has(at(2, 10)), "it follows a primary that is none any more");
    }
}
