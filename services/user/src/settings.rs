//! What an operator can set.

use std::time::Duration;

use anyhow::ensure;
use serde::Deserialize;

use trellis_storage::Url;

use crate::domain::SessionLimits;
use crate::throttle::Limits;

/// Settings of the user service.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where the records are kept: `sqlite:PATH` or `postgres://…`. Default: the file `user.db`
    /// in the data directory.
    pub database: Option<Url>,
    /// Memory of one password hash in KiB. Default 19456, OWASP's least with 2 passes.
    pub password_memory_kib: u32,
    /// Passes of one password hash over its memory. Default 2.
    pub password_iterations: u32,
    /// How many sign-ins and sign-ups may wait for a processor before more are refused. Default 64.
    pub password_queue: usize,
    /// Seconds that a session lives without being used. Default 1800, half an hour.
    pub session_idle_seconds: u32,
    /// Seconds that a session lives in any case. Default 43200, twelve hours.
    pub session_lifetime_seconds: u32,
    /// Failed sign-ins to an account before the next must wait. Default 5.
    pub sign_in_failures: u32,
    /// Failed sign-ins from a client address in one window. Default 50.
    pub sign_in_failures_per_address: u32,
    /// Seconds after which failures are forgotten. Default 900, a quarter of an hour.
    pub sign_in_window_seconds: u32,
    /// Seconds that a sign-in to an account waits at the most; the wait begins at one second and
    /// doubles with each failure. Default 900.
    pub sign_in_longest_delay_seconds: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            database: None,
            password_memory_kib: 19_456,
            password_iterations: 2,
            password_queue: 64,
            session_idle_seconds: 30 * 60,
            session_lifetime_seconds: 12 * 60 * 60,
            sign_in_failures: 5,
            sign_in_failures_per_address: 50,
            sign_in_window_seconds: 15 * 60,
            sign_in_longest_delay_seconds: 15 * 60,
        }
    }
}

impl Settings {
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        ensure!(
            2 * 60 <= self.session_idle_seconds,
            "session_idle_seconds must be at least 120, because use is noted once a minute",
        );
        ensure!(
            self.session_idle_seconds <= self.session_lifetime_seconds,
            "session_lifetime_seconds must not be less than session_idle_seconds",
        );
        for (name, value) in [
            ("sign_in_failures", self.sign_in_failures),
            ("sign_in_failures_per_address", self.sign_in_failures_per_address),
            ("sign_in_window_seconds", self.sign_in_window_seconds),
            ("sign_in_longest_delay_seconds", self.sign_in_longest_delay_seconds),
        ] {
            ensure!(0 < value, "{name} must be at least 1");
        }
        Ok(())
    }

    pub(crate) fn session_limits(&self) -> SessionLimits {
        SessionLimits {
            idle: seconds(self.session_idle_seconds),
            lifetime: seconds(self.session_lifetime_seconds),
        }
    }

    pub(crate) fn throttle_limits(&self) -> Limits {
        Limits {
            account_failures: self.sign_in_failures,
            address_failures: self.sign_in_failures_per_address,
            window: seconds(self.sign_in_window_seconds),
            longest_delay: seconds(self.sign_in_longest_delay_seconds),
        }
    }
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_good() {
        Settings::default().check().unwrap();
    }

    #[test]
    fn a_bad_value_is_named() {
        let sleepless = Settings { session_idle_seconds: 60, ..Settings::default() };
        let brief = Settings { session_lifetime_seconds: 600, ..Settings::default() };
        let closed = Settings { sign_in_failures: 0, ..Settings::default() };
        for (settings, name) in [
            (sleepless, "session_idle_seconds"),
            (brief, "session_lifetime_seconds"),
            (closed, "sign_in_failures"),
        ] {
            assert!(settings.check().unwrap_err().to_string().contains(name), "{name}");
        }
    }
}
