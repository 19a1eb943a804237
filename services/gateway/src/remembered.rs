//! Products as they were when they were last read, for when the inventory cannot
//! be asked.
//!
//! It is an aid and no record: each process has its own, a restart forgets it, and
//! it is bounded in number and in age. Whoever shows something from it says so.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use time::OffsetDateTime;
use trellis_api::inventory::v1::StockedProduct;
use trellis_chassis::Clock;

/// How many products are kept, some megabytes; those that were read last stay.
const CAPACITY: u64 = 10_000;
/// How old a reading may be that is still shown.
const LONGEST: Duration = Duration::from_mins(10);

/// What was read of the catalogue lately. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Remembered {
    clock: Arc<dyn Clock>,
    readings: Cache<String, Reading>,
}

#[derive(Clone, Debug)]
struct Reading {
    time: OffsetDateTime,
    stocked: StockedProduct,
}

impl Remembered {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let readings = Cache::builder()
            .max_capacity(CAPACITY)
            // The default keeps out what is new until it was asked for often, and
            // nothing is asked for here while all is well.
            .eviction_policy(EvictionPolicy::lru())
            // The cache's own time only frees memory; what counts is the clock's.
            .time_to_live(LONGEST)
            .build();
        Self { clock, readings }
    }

    /// Remembers what the inventory has `found` of the `asked`, and forgets what it
    /// no longer has.
    pub(crate) fn note(&self, asked: &[String], found: &[StockedProduct]) {
        let time = self.clock.now();
        let mut gone: HashSet<&str> = asked.iter().map(String::as_str).collect();
        for stocked in found {
            let Some(product) = &stocked.product else { continue };
            gone.remove(product.sku.as_str());
            let reading = Reading { time, stocked: stocked.clone() };
            self.readings.insert(product.sku.clone(), reading);
        }
        for sku in gone {
            self.readings.invalidate(sku);
        }
    }

    /// The product as it was when it was last read, unless that is too long ago.
    pub(crate) fn recall(&self, sku: &str) -> Option<StockedProduct> {
        let Reading { time, stocked } = self.readings.get(sku)?;
        (self.clock.now() - time <= LONGEST).then_some(stocked)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use trellis_api::shop::v1::Product;
    use trellis_chassis::ManualClock;

    use super::*;

    fn clock() -> ManualClock {
        ManualClock::new(datetime!(2026-11-22 10:00 UTC))
    }

    fn stocked(sku: &str, available: i64) -> StockedProduct {
        let product = Product { sku: sku.to_owned(), ..Product::default() };
        StockedProduct { product: Some(product), available }
    }

    fn asked(sku: &str) -> [String; 1] {
        [sku.to_owned()]
    }

    #[test]
    fn the_last_reading_is_shown_for_ten_minutes() {
        let clock = clock();
        let remembered = Remembered::new(Arc::new(clock.clone()));
        remembered.note(&asked("MUG"), &[stocked("MUG", 3)]);
        remembered.note(&asked("MUG"), &[stocked("MUG", 2)]);

        clock.advance(LONGEST);
        assert_eq!(remembered.recall("MUG"), Some(stocked("MUG", 2)));
        clock.advance(Duration::from_secs(1));
        assert_eq!(remembered.recall("MUG"), None);
    }

    #[test]
    fn what_is_no_longer_there_is_forgotten_and_the_rest_is_not() {
        let remembered = Remembered::new(Arc::new(clock()));
        let both = ["MUG".to_owned(), "TEA".to_owned()];
        remembered.note(&both, &[stocked("MUG", 1), stocked("TEA", 1)]);

        remembered.note(&both, &[stocked("TEA", 1)]);

        assert_eq!(remembered.recall("MUG"), None);
        assert_eq!(remembered.recall("TEA"), Some(stocked("TEA", 1)));
    }

    #[test]
    fn of_too_many_products_those_that_were_read_last_stay() {
        let remembered = Remembered::new(Arc::new(clock()));
        let name = |number: u64| format!("SKU-{number}");
        for number in 0..CAPACITY + 100 {
            let sku = name(number);
            remembered.note(&asked(&sku), &[stocked(&sku, 1)]);
        }
        remembered.readings.run_pending_tasks();

        assert_eq!(remembered.readings.entry_count(), CAPACITY);
        assert_eq!(remembered.recall(&name(0)), None);
        assert!(remembered.recall(&name(CAPACITY + 99)).is_some());
    }
}
