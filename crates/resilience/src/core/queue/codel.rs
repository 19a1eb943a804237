//! The control law of RFC 8289, section 5.

use std::time::Duration;

use super::Settings;
use crate::core::clock::Time;

/// After a pause shorter than so many intervals, dropping goes on as fast as it was.
const MEMORY: u32 = 16;

/// Whether a queue stands, and when the next one is dropped.
#[derive(Debug, Default)]
pub(super) struct CoDel {
    /// When the queue will have been too slow for an interval.
    above_until: Option<Time>,
    is_dropping: bool,
    next: Time,
    count: u32,
    /// The count when dropping began.
    first_count: u32,
}

impl CoDel {
    pub(super) fn is_standing(&self) -> bool {
        self.is_dropping
    }

    /// Whether one has to go now. To be asked again after it went. `waited` is the
    /// longest time that anyone has waited, and `None` if there is no queue.
    pub(super) fn wants_drop(
        &mut self,
        waited: Option<Duration>,
        settings: &Settings,
        now: Time,
    ) -> bool {
        let is_slow = self.is_slow(waited, settings, now);
        if !is_slow {
            self.is_dropping = false;
            return false;
        }
        if !self.is_dropping {
            self.begin(settings, now);
            return true;
        }
        let is_time = self.next <= now;
        if is_time {
            self.count = self.count.saturating_add(1);
            self.next = self.next + self.pause(settings);
        }
        is_time
    }

    fn is_slow(&mut self, waited: Option<Duration>, settings: &Settings, now: Time) -> bool {
        if waited.is_none_or(|waited| waited < settings.target) {
            self.above_until = None;
            return false;
        }
        *self.above_until.get_or_insert(now + settings.interval) <= now
    }

    fn begin(&mut self, settings: &Settings, now: Time) {
        let grown = self.count - self.first_count;
        let is_recent = now < self.next + settings.interval * MEMORY;
        self.count = if 1 < grown && is_recent { grown } else { 1 };
        self.first_count = self.count;
        self.is_dropping = true;
        self.next = now + self.pause(settings);
    }

    fn pause(&self, settings: &Settings) -> Duration {
        settings.interval.div_f64(f64::from(self.count.max(1)).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(millis: u32) -> Time {
        Time::ZERO + MS * millis
    }

    /// The milliseconds at which it dropped, if it was asked in each of them.
    fn drops(codel: &mut CoDel, from: u32, to: u32, waited: Duration) -> Vec<u32> {
        (from..to)
            .filter(|&now| codel.wants_drop(Some(waited), &Settings::default(), at(now)))
            .collect()
    }

    #[test]
    fn it_drops_after_an_interval_and_then_faster_and_faster() {
        let mut codel = CoDel::default();

        let drops = drops(&mut codel, 0, 400, 5 * MS);

        // 100 ms, and then after 100 ms / √1, √2, √3, √4 and √5.
        assert_eq!(drops, [100, 200, 271, 329, 379]);
    }

    #[test]
    fn below_the_target_nothing_is_dropped() {
        let mut codel = CoDel::default();

        assert_eq!(drops(&mut codel, 0, 1000, Duration::from_micros(4999)), [0_u32; 0]);
        assert!(!codel.is_standing());
    }

    #[test]
    fn one_good_moment_ends_it() {
        let mut codel = CoDel::default();
        drops(&mut codel, 0, 150, 5 * MS);
        assert!(codel.is_standing());

        assert!(!codel.wants_drop(None, &Settings::default(), at(150)));

        assert!(!codel.is_standing());
        assert_eq!(drops(&mut codel, 151, 251, 5 * MS), [0_u32; 0]);
    }

    #[test]
    fn soon_after_it_goes_on_as_fast_as_it_was() {
        let mut codel = CoDel::default();
        let before = drops(&mut codel, 0, 1000, 5 * MS).len();
        codel.wants_drop(None, &Settings::default(), at(1000));

        let after = drops(&mut codel, 1001, 1201, 5 * MS);

        assert!(4 <= after.len(), "{after:?} after {before}");
    }
}
