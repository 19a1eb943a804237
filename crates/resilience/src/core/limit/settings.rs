//! What a limiter can be told.

use std::time::Duration;

/// The bounds of an adaptive limit, and how it looks at the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The limit until something is known. Default 20.
    pub initial: usize,
    /// Default 4. At least one, or nothing would ever be learned.
    pub min: usize,
    /// Default 1000.
    pub max: usize,
    /// The shortest time over which calls are judged. Default 1 s. It becomes twice the
    /// usual latency if that is longer, since no change is seen before.
    pub shortest_window: Duration,
    /// The longest. Default 30 s.
    pub longest_window: Duration,
    /// Fewer calls make no window, unless it has become the longest. Default 50.
    pub samples: u32,
    /// The time between two measurements of the latency without a queue; it varies
    /// between the half and the whole. Default 60 s.
    pub probe_interval: Duration,
}

/// Settings that make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The order of the limits is wrong, or the lowest is zero.
    #[error("the limits must be 1 <= min <= initial <= max")]
    Limits,
    /// The order of the windows is wrong, or the shortest is zero.
    #[error("the windows must be 0 < shortest <= longest")]
    Windows,
    /// So few calls say nothing.
    #[error("a window must have at least 10 samples")]
    Samples,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            initial: 20,
            min: 4,
            max: 1000,
            shortest_window: Duration::from_secs(1),
            longest_window: Duration::from_secs(30),
            samples: 50,
            probe_interval: Duration::from_mins(1),
        }
    }
}

impl Settings {
    /// Whether they make sense.
    pub fn check(&self) -> Result<(), SettingsError> {
        if self.min == 0 || self.initial < self.min || self.max < self.initial {
            return Err(SettingsError::Limits);
        }
        if self.shortest_window.is_zero() || self.longest_window < self.shortest_window {
            return Err(SettingsError::Windows);
        }
        if self.samples < FEWEST {
            return Err(SettingsError::Samples);
        }
        Ok(())
    }
}

/// Below that, a percentile says nothing, however long it took to collect them.
pub(super) const FEWEST: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let usual = Settings::default();
        let check = |settings: Settings| settings.check();

        assert_eq!(check(usual), Ok(()));
        assert_eq!(check(Settings { min: 0, ..usual }), Err(SettingsError::Limits));
        assert_eq!(check(Settings { min: 21, ..usual }), Err(SettingsError::Limits));
        assert_eq!(check(Settings { max: 19, ..usual }), Err(SettingsError::Limits));
        let longest_window = Duration::from_millis(999);
        assert_eq!(check(Settings { longest_window, ..usual }), Err(SettingsError::Windows));
        let shortest_window = Duration::ZERO;
        assert_eq!(check(Settings { shortest_window, ..usual }), Err(SettingsError::Windows));
        assert_eq!(check(Settings { samples: 9, ..usual }), Err(SettingsError::Samples));
    }
}
