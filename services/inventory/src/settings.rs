//! What can be set.

use std::time::Duration;

use anyhow::ensure;
use serde::Deserialize;
use trellis_storage::Url;

/// How long things take.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where the records are kept: `sqlite:PATH` or `postgres://…`. Default: the file `inventory.db`
    /// in the data directory.
    pub database: Option<Url>,
    /// How long units are held when the caller does not say, in seconds: 1 to
    /// 3600. Default: 900.
    pub reservation_ttl_seconds: u32,
    /// How often lapsed reservations are looked for, in milliseconds: 10 to
    /// 30000. Default: 1000.
    pub expiry_interval_milliseconds: u64,
}

impl Settings {
    /// Refuses what is out of range, by its name.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        ensure!(
            (1..=3_600).contains(&self.reservation_ttl_seconds),
            "reservation_ttl_seconds must be 1 to 3600"
        );
        ensure!(
            (10..=30_000).contains(&self.expiry_interval_milliseconds),
            "expiry_interval_milliseconds must be 10 to 30000"
        );
        Ok(())
    }

    pub(crate) fn reservation_ttl(&self) -> time::Duration {
        time::Duration::seconds(self.reservation_ttl_seconds.into())
    }

    pub(crate) fn expiry_interval(&self) -> Duration {
        Duration::from_millis(self.expiry_interval_milliseconds)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { database: None, reservation_ttl_seconds: 900, expiry_interval_milliseconds: 1_000 }
    }
}
