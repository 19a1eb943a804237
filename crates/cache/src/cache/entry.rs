//! What is kept of a value.

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use time::OffsetDateTime;

use super::settings::{JITTER, Settings};

/// A value, or that there is none, with what says how good it still is.
#[derive(Debug)]
pub(super) struct Entry<V> {
    /// Of the row; 0 if there is none.
    pub(super) version: u64,
    pub(super) written_at: OffsetDateTime,
    pub(super) soft: Duration,
    pub(super) hard: Duration,
    /// How long the store took.
    pub(super) computed: Duration,
    pub(super) value: Option<Arc<V>>,
}

/// How good an entry still is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quality {
    Fresh,
    /// Good enough to be given out, while a new one is read.
    Stale,
    /// Not to be given out.
    Dead,
}

/// The form of an entry in Redis, without its version, which stands before it.
#[derive(Clone, PartialEq, Message)]
struct Envelope {
    #[prost(int64, tag = "1")]
    written_micros: i64,
    #[prost(uint64, tag = "2")]
    soft_millis: u64,
    #[prost(uint64, tag = "3")]
    hard_millis: u64,
    #[prost(uint64, tag = "4")]
    computed_micros: u64,
    #[prost(bytes = "vec", optional, tag = "5")]
    value: Option<Vec<u8>>,
}

impl<V> Clone for Entry<V> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), ..*self }
    }
}

impl<V> Entry<V> {
    /// `dice` is 0 to 1 and says how much longer than the shortest time it is fresh.
    pub(super) fn new(
        (version, value): (u64, Option<V>),
        settings: &Settings,
        now: OffsetDateTime,
        computed: Duration,
        dice: f64,
    ) -> Self {
        let (soft, hard) = match value {
            Some(_) => (settings.soft, settings.hard),
            None => (settings.negative, settings.negative),
        };
        let soft = soft.mul_f64(1.0 - JITTER + 2.0 * JITTER * dice).min(hard);
        Self { version, written_at: now, soft, hard, computed, value: value.map(Arc::new) }
    }

    /// How good it is at `now`. `dice` is above 0 and up to 1.
    ///
    /// The longer the store took, the earlier and the more likely an entry is read anew
    /// before its time, so that of many readers one does (`XFetch` with a beta of 1, of
    /// Vattani, Chierichetti and Lowenstein, "Optimal Probabilistic Cache Stampede
    /// Prevention", VLDB 2015).
    pub(super) fn quality(&self, now: OffsetDateTime, dice: f64) -> Quality {
        // A clock that was set back makes nothing younger than new.
        let age = Duration::try_from(now - self.written_at).unwrap_or_default();
        if self.hard <= age {
            return Quality::Dead;
        }
        let early = self.computed.mul_f64(-dice.max(f64::MIN_POSITIVE).ln());
        if self.soft <= age + early { Quality::Stale } else { Quality::Fresh }
    }

    /// How long Redis is to keep it.
    pub(super) fn keep(&self) -> Duration {
        self.hard
    }
}

impl<V: Message + Default> Entry<V> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let micros = self.written_at.unix_timestamp_nanos() / 1_000;
        let envelope = Envelope {
            written_micros: i64::try_from(micros).unwrap_or(i64::MAX),
            soft_millis: millis(self.soft),
            hard_millis: millis(self.hard),
            computed_micros: u64::try_from(self.computed.as_micros()).unwrap_or(u64::MAX),
            value: self.value.as_ref().map(|value| value.encode_to_vec()),
        };
        envelope.encode_to_vec()
    }

    /// `None` if this is no entry: another release may have written it.
    pub(super) fn decode(version: u64, bytes: &[u8]) -> Option<Self> {
        let envelope = Envelope::decode(bytes).ok()?;
        let written = i128::from(envelope.written_micros) * 1_000;
        let value = envelope.value.map(|value| V::decode(value.as_slice())).transpose().ok()?;
        Some(Self {
            version,
            written_at: OffsetDateTime::from_unix_timestamp_nanos(written).ok()?,
            soft: Duration::from_millis(envelope.soft_millis),
            hard: Duration::from_millis(envelope.hard_millis),
            computed: Duration::from_micros(envelope.computed_micros),
            value: value.map(Arc::new),
        })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);
    const SETTINGS: Settings =
        Settings::new("test", Duration::from_secs(100), Duration::from_secs(200));

    fn entry(value: Option<String>, computed: Duration, dice: f64) -> Entry<String> {
        Entry::new((7, value), &SETTINGS, NOW, computed, dice)
    }

    #[test]
    fn an_entry_is_fresh_then_stale_then_dead() {
        let entry = entry(Some("a".to_owned()), Duration::ZERO, 0.5);
        for (age, quality) in [
            (0, Quality::Fresh),
            (99, Quality::Fresh),
            (100, Quality::Stale),
            (199, Quality::Stale),
            (200, Quality::Dead),
        ] {
            assert_eq!(entry.quality(NOW + Duration::from_secs(age), 1.0), quality, "{age}");
        }
    }

    #[test]
    fn entries_of_one_moment_do_not_turn_stale_at_one_moment() {
        let soft = |dice| entry(Some(String::new()), Duration::ZERO, dice).soft;
        assert_eq!(soft(0.0), Duration::from_secs(85));
        assert_eq!(soft(1.0), Duration::from_secs(115));
    }

    #[test]
    fn what_is_slow_to_read_is_read_before_its_time_by_a_few() {
        let entry = entry(Some(String::new()), Duration::from_secs(1), 0.5);
        let shortly_before = NOW + Duration::from_secs(97);
        // e^-3 is 0.0498: one in twenty readers.
        assert_eq!(entry.quality(shortly_before, 0.05), Quality::Fresh);
        assert_eq!(entry.quality(shortly_before, 0.0497), Quality::Stale);
    }

    #[test]
    fn that_there_is_nothing_is_believed_for_five_seconds_at_the_most() {
        for dice in [0.0, 1.0] {
            let nothing = entry(None, Duration::ZERO, dice);
            assert_ne!(nothing.quality(NOW + Duration::from_secs(4), 1.0), Quality::Dead);
            assert_eq!(nothing.quality(NOW + Duration::from_secs(5), 1.0), Quality::Dead);
        }
    }

    #[test]
    fn a_clock_that_was_set_back_keeps_no_entry_from_being_fresh() {
        let entry = entry(Some(String::new()), Duration::ZERO, 0.5);
        assert_eq!(entry.quality(NOW - Duration::from_secs(500), 1.0), Quality::Fresh);
    }

    proptest! {
        #[test]
        fn an_entry_survives_redis(
            version in any::<u64>(), value in proptest::option::of(".*"), micros in 0_u64..1 << 40,
        ) {
            let entry = entry(value, Duration::from_micros(micros), 0.5);
            let again = Entry::<String>::decode(version, &entry.encode()).unwrap();
            prop_assert_eq!(again.version, version);
            prop_assert_eq!(again.written_at, entry.written_at);
            prop_assert_eq!((again.soft, again.hard), (entry.soft, entry.hard));
            prop_assert_eq!((again.computed, again.value), (entry.computed, entry.value));
        }

        #[test]
        fn any_bytes_are_an_entry_or_none(bytes: Vec<u8>) {
            let _ = Entry::<String>::decode(1, &bytes);
        }
    }
}
