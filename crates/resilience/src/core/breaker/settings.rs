//! How a breaker behaves.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The most probes that may be outstanding at once.
pub const MAX_PROBES: u32 = 15;

/// When to open, for how long, and how to come back.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// It opens after so many failures in a row, at least 1. A success ends the row; a
    /// peer that asks for less neither counts nor ends it. Default 5; `None`: never.
    pub consecutive_failures: Option<u32>,
    /// A rate is not looked at before the window holds so many calls, at least 1.
    /// Default 20.
    pub minimum_calls: u32,
    /// It opens when this share of the calls failed or was asked to be less, above 0
    /// and up to 1. Default 0.5; `None`: never.
    pub failure_rate: Option<f64>,
    /// It opens when this share of the calls was slow, above 0 and up to 1. Default
    /// 0.8; `None`: never.
    pub slow_rate: Option<f64>,
    /// A call that takes so long is slow, and one that is given up so late has failed.
    /// About 0.8 of an attempt's timeout is a good choice. Default `None`: no call is
    /// slow.
    pub slow: Option<Duration>,
    /// Where `slow` is not set: a call that is given up so late has failed. Default
    /// `None`: a call that is given up says nothing.
    pub cancel_counts_after: Option<Duration>,
    /// What is looked back at, in ten buckets; 1 s to 10 min, and at least the longest
    /// attempt. Default 10 s.
    pub window: Duration,
    /// The longest wait after the first trip, which doubles with each further one. Half
    /// of the wait is random. 1 ms to `open_cap`. Default 1 s. If the call that opens it
    /// took long, the wait is at least as after a bound of three times as long, but of no
    /// more than three times this: the peer has to work off what it was sent meanwhile.
    pub open_base: Duration,
    /// The wait does not grow beyond this. Default 30 s, at most 1 h.
    pub open_cap: Duration,
    /// A peer that asks to be left alone is left alone, but no longer than this at a
    /// time. Default 60 s, at most 1 h.
    pub pushback_cap: Duration,
    /// Trips are forgotten when it was closed for so long. Default 60 s.
    pub forget_after: Duration,
    /// When half-open, so many calls may be outstanding, and so many successes in a row
    /// close it; 1 to [`MAX_PROBES`]. Default 3.
    pub probes: u32,
    /// A probe that takes so long has failed; 1 ms to 1 h, and at least the longest
    /// attempt. Default 10 s.
    pub half_open_max: Duration,
    /// After it closes, the admitted share of the calls grows for so long from 10 % to
    /// all; of calls that have become fewer, so many are admitted as would have been of
    /// those before. Default 5 s, at most 1 h; zero: all at once.
    pub ramp: Duration,
}

/// Settings that make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A number or a time is not in its range.
    #[error("{field} must be {range}")]
    OutOfRange { field: &'static str, range: &'static str },
    /// The window, or the longest time of a probe, would end before the longest attempt
    /// does.
    #[error("{field} is {length:?}, which is shorter than the longest attempt, {attempt:?}")]
    ShorterThanAttempt { field: &'static str, length: Duration, attempt: Duration },
}

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_hours(1);

impl Default for Settings {
    fn default() -> Self {
        Self {
            consecutive_failures: Some(5),
            minimum_calls: 20,
            failure_rate: Some(0.5),
            slow_rate: Some(0.8),
            slow: None,
            cancel_counts_after: None,
            window: Duration::from_secs(10),
            open_base: Duration::from_secs(1),
            open_cap: Duration::from_secs(30),
            pushback_cap: Duration::from_mins(1),
            forget_after: Duration::from_mins(1),
            probes: 3,
            half_open_max: Duration::from_secs(10),
            ramp: Duration::from_secs(5),
        }
    }
}

impl Settings {
    /// Whether all is in its range. An attempt that is longer than the window would
    /// be forgotten before it ends, and as a probe it could not succeed.
    pub fn check(&self, longest_attempt: Option<Duration>) -> Result<(), SettingsError> {
        self.check_counts()?;
        self.check_durations()?;
        let lengths = [("window", self.window), ("half_open_max", self.half_open_max)];
        for (field, length) in lengths {
            if let Some(attempt) = longest_attempt.filter(|attempt| length < *attempt) {
                return Err(SettingsError::ShorterThanAttempt { field, length, attempt });
            }
        }
        Ok(())
    }

    fn check_counts(&self) -> Result<(), SettingsError> {
        let is_share = |rate: Option<f64>| rate.is_none_or(|rate| 0.0 < rate && rate <= 1.0);
        ensure(self.consecutive_failures != Some(0), "consecutive_failures", "at least 1")?;
        ensure(self.minimum_calls >= 1, "minimum_calls", "at least 1")?;
        ensure(is_share(self.failure_rate), "failure_rate", "above 0 and at most 1")?;
        ensure(is_share(self.slow_rate), "slow_rate", "above 0 and at most 1")?;
        ensure((1..=MAX_PROBES).contains(&self.probes), "probes", "1 to 15")
    }

    fn check_durations(&self) -> Result<(), SettingsError> {
        const WINDOW: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_mins(10);
        let is_some_time = |time: Option<Duration>| time != Some(Duration::ZERO);
        ensure(is_some_time(self.slow), "slow", "longer than nothing")?;
        let field = "cancel_counts_after";
        ensure(is_some_time(self.cancel_counts_after), field, "longer than nothing")?;
        ensure(WINDOW.contains(&self.window), "window", "1 s to 10 min")?;
        let base = MILLISECOND..=self.open_cap;
        ensure(base.contains(&self.open_base), "open_base", "1 ms to open_cap")?;
        ensure(self.open_cap <= HOUR, "open_cap", "at most 1 h")?;
        ensure(self.pushback_cap <= HOUR, "pushback_cap", "at most 1 h")?;
        let probe = MILLISECOND..=HOUR;
        ensure(probe.contains(&self.half_open_max), "half_open_max", "1 ms to 1 h")?;
        ensure(self.ramp <= HOUR, "ramp", "at most 1 h")
    }
}

fn ensure(holds: bool, field: &'static str, range: &'static str) -> Result<(), SettingsError> {
    if holds { Ok(()) } else { Err(SettingsError::OutOfRange { field, range }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_in_its_ranges() {
        assert_eq!(Settings::default().check(Some(Duration::from_secs(10))), Ok(()));
    }

    #[test]
    fn what_is_out_of_its_range_is_named() {
        type Change = fn(&mut Settings);
        let changes: [(&str, Change); 16] = [
            ("consecutive_failures", |s| s.consecutive_failures = Some(0)),
            ("minimum_calls", |s| s.minimum_calls = 0),
            ("failure_rate", |s| s.failure_rate = Some(0.0)),
            ("failure_rate", |s| s.failure_rate = Some(f64::NAN)),
            ("slow_rate", |s| s.slow_rate = Some(1.01)),
            ("probes", |s| s.probes = 0),
            ("probes", |s| s.probes = 16),
            ("slow", |s| s.slow = Some(Duration::ZERO)),
            ("cancel_counts_after", |s| s.cancel_counts_after = Some(Duration::ZERO)),
            ("window", |s| s.window = Duration::from_millis(999)),
            ("window", |s| s.window = Duration::from_secs(601)),
            ("open_base", |s| s.open_base = Duration::from_secs(31)),
            ("open_cap", |s| s.open_cap = 2 * HOUR),
            ("pushback_cap", |s| s.pushback_cap = 2 * HOUR),
            ("half_open_max", |s| s.half_open_max = Duration::ZERO),
            ("ramp", |s| s.ramp = 2 * HOUR),
        ];
        for (name, change) in changes {
            let mut settings = Settings::default();
            change(&mut settings);
            let error = settings.check(None).unwrap_err();
            assert!(
                matches!(error, SettingsError::OutOfRange { field, .. } if field == name),
                "{name}: {error}"
            );
        }
    }

    #[test]
    fn the_longest_attempt_must_fit_into_the_window_and_the_life_of_a_probe() {
        let attempt = Duration::from_secs(12);
        let mut settings = Settings::default();
        let length = Duration::from_secs(10);
        let error = |field| Err(SettingsError::ShorterThanAttempt { field, length, attempt });

        assert_eq!(settings.check(Some(attempt)), error("window"));
        settings.window = attempt;
        assert_eq!(settings.check(Some(attempt)), error("half_open_max"));
        settings.half_open_max = attempt;
        assert_eq!(settings.check(Some(attempt)), Ok(()));
    }
}
