//! What an operator can set. The times of the sagas are not: see
//! [`crate::saga::policy`].

use std::time::Duration;

use anyhow::ensure;
use serde::Deserialize;
use trellis_storage::Url;

/// Settings of the order service.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where the records are kept: `sqlite:PATH` or `postgres://…`. Default: the file `order.db`
    /// in the data directory.
    pub database: Option<Url>,
    /// How many new sagas may be at work at once before more checkouts are
    /// refused, at least 1. Default 1024.
    pub max_sagas_in_flight: usize,
    /// Milliseconds between two looks for sagas that nobody works on, give or
    /// take a half, at least 1. Default 1000.
    pub recovery_interval_milliseconds: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { database: None, max_sagas_in_flight: 1_024, recovery_interval_milliseconds: 1_000 }
    }
}

impl Settings {
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        ensure!(0 < self.max_sagas_in_flight, "max_sagas_in_flight must be at least 1");
        ensure!(
            0 < self.recovery_interval_milliseconds,
            "recovery_interval_milliseconds must be at least 1",
        );
        Ok(())
    }

    pub(crate) fn recovery_interval(&self) -> Duration {
        Duration::from_millis(self.recovery_interval_milliseconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_good_and_a_bad_value_is_named() {
        let closed = Settings { max_sagas_in_flight: 0, ..Settings::default() };
        let restless = Settings { recovery_interval_milliseconds: 0, ..Settings::default() };

        Settings::default().check().unwrap();
        assert!(closed.check().unwrap_err().to_string().contains("max_sagas_in_flight"));
        assert!(restless.check().unwrap_err().to_string().contains("recovery_interval"));
    }
}
