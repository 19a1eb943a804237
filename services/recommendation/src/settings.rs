//! What an operator can set.

use anyhow::ensure;
use serde::Deserialize;
use time::Duration;
use trellis_storage::Url;

use crate::domain::Limits;
use crate::upkeep::Keep;

/// Settings of the recommendation service.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where the records are kept: `sqlite:PATH` or `postgres://…`. Default: the file `recommendation.db`
    /// in the data directory.
    pub database: Option<Url>,
    /// Days after which a basket says half as much about what goes together. Default 30.
    pub half_life_days: u32,
    /// Hours after which an order or a view counts half as demand. Default 48.
    pub trending_half_life_hours: u32,
    /// How many neighbours of a product are kept; up to twice as many in between, at 16 bytes
    /// each. Default 64.
    pub neighbours: u32,
    /// How many products are known; beyond, the least popular tenth is forgotten. Default 200000.
    pub max_products: u32,
    /// How many of the newest baskets are stored, to learn from again after a start. Default 200000.
    pub max_baskets: u32,
    /// Days after which a stored basket is deleted in any case. Default 90.
    pub max_basket_age_days: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            database: None,
            half_life_days: 30,
            trending_half_life_hours: 48,
            neighbours: 64,
            max_products: 200_000,
            max_baskets: 200_000,
            max_basket_age_days: 90,
        }
    }
}

impl Settings {
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        for (name, value, least, most) in [
            ("half_life_days", self.half_life_days, 1, 3_650),
            ("trending_half_life_hours", self.trending_half_life_hours, 1, 87_600),
            ("neighbours", self.neighbours, 1, 1_000),
            ("max_products", self.max_products, 100, 10_000_000),
            ("max_baskets", self.max_baskets, 1, 100_000_000),
            ("max_basket_age_days", self.max_basket_age_days, 1, 3_650),
        ] {
            ensure!((least..=most).contains(&value), "{name} must be {least} to {most}");
        }
        Ok(())
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            half_life: Duration::days(self.half_life_days.into()),
            trending_half_life: Duration::hours(self.trending_half_life_hours.into()),
            neighbours: self.neighbours as usize,
            products: self.max_products as usize,
        }
    }

    pub(crate) fn keep(&self) -> Keep {
        Keep {
            baskets: self.max_baskets.into(),
            age: Duration::days(self.max_basket_age_days.into()),
        }
    }
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
        let timeless = Settings { half_life_days: 0, ..Settings::default() };
        let trendless = Settings { trending_half_life_hours: 0, ..Settings::default() };
        let crowded = Settings { neighbours: 1_001, ..Settings::default() };
        let bare = Settings { max_products: 99, ..Settings::default() };
        let empty = Settings { max_baskets: 0, ..Settings::default() };
        let eternal = Settings { max_basket_age_days: 3_651, ..Settings::default() };
        for (settings, name) in [
            (timeless, "half_life_days"),
            (trendless, "trending_half_life_hours"),
            (crowded, "neighbours"),
            (bare, "max_products"),
            (empty, "max_baskets"),
            (eternal, "max_basket_age_days"),
        ] {
            assert!(settings.check().unwrap_err().to_string().contains(name), "{name}");
        }
    }
}
