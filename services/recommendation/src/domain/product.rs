//! What is known of one product.

use std::collections::VecDeque;

use trellis_api::Sku;

use super::Hour;

/// What a look is worth, in orders.
const VIEW: f64 = 0.1;

/// A product with what goes with it. All weights are on the scale of their
/// decay's landmark.
#[derive(Clone, Debug)]
pub(super) struct Product {
    pub(super) sku: Sku,
    /// Baskets that held it, by the decay of affinities.
    pub(super) popularity: f64,
    /// Baskets that held it, by the decay of demand. A basket counts once, so
    /// one wholesale order makes no trend.
    pub(super) orders: f64,
    /// Looks at it, by the decay of demand.
    pub(super) views: f64,
    /// Each hour's share in `views`, oldest first, so that a count that has
    /// been read before changes nothing.
    pub(super) hours: VecDeque<(Hour, u32)>,
    pub(super) neighbours: Vec<Neighbour>,
}

/// Another product and the baskets that held both.
#[derive(Clone, Copy, Debug)]
pub(super) struct Neighbour {
    pub(super) product: u32,
    pub(super) weight: f64,
}

impl Product {
    pub(super) fn new(sku: Sku) -> Self {
        Self {
            sku,
            popularity: 0.0,
            orders: 0.0,
            views: 0.0,
            hours: VecDeque::new(),
            neighbours: Vec::new(),
        }
    }

    /// How much it is in demand, on the scale of the decay of demand.
    pub(super) fn demand(&self) -> f64 {
        VIEW.mul_add(self.views, self.orders)
    }

    /// Adds a basket that held `other` too.
    pub(super) fn meet(&mut self, other: u32, weight: f64) {
        match self.neighbours.iter_mut().find(|known| known.product == other) {
            Some(known) => known.weight += weight,
            None => self.neighbours.push(Neighbour { product: other, weight }),
        }
    }

    /// Takes note of an hour's looks, and returns how many of them are news.
    pub(super) fn count_views(&mut self, hour: Hour, count: u32) -> u32 {
        let newest = self.hours.back().map_or(hour, |&(newest, _)| newest.max(hour));
        if hour < newest.oldest_kept() {
            return 0;
        }
        while self.hours.front().is_some_and(|&(oldest, _)| oldest < newest.oldest_kept()) {
            self.hours.pop_front();
        }
        match self.hours.binary_search_by_key(&hour, |&(hour, _)| hour) {
            Ok(index) => {
                let known = &mut self.hours[index].1;
                let news = count.saturating_sub(*known);
                *known += news;
                news
            }
            Err(index) => {
                self.hours.insert(index, (hour, count));
                count
            }
        }
    }

    pub(super) fn scale_affinity(&mut self, factor: f64) {
        self.popularity *= factor;
        for neighbour in &mut self.neighbours {
            neighbour.weight *= factor;
        }
    }

    pub(super) fn scale_demand(&mut self, factor: f64) {
        self.orders *= factor;
        self.views *= factor;
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "weights are exact")]
mod tests {
    use time::macros::datetime;
    use time::{Duration, OffsetDateTime};

    use super::*;

    const MONDAY: OffsetDateTime = datetime!(2026-11-23 09:00 UTC);

    fn mug() -> Product {
        Product::new("MUG".parse().unwrap())
    }

    fn hour(number: i64) -> Hour {
        Hour::of(MONDAY + Duration::hours(number))
    }

    #[test]
    fn a_count_that_is_read_again_is_no_news() {
        let mut mug = mug();

        assert_eq!(mug.count_views(hour(0), 3), 3);
        assert_eq!(mug.count_views(hour(1), 2), 2);
        assert_eq!(mug.count_views(hour(0), 5), 2);
        assert_eq!(mug.count_views(hour(0), 5), 0);
        assert_eq!(mug.count_views(hour(0), 3), 0);
    }

    #[test]
    fn only_the_hours_of_a_week_are_remembered() {
        let mut mug = mug();
        for number in 0..2_000 {
            assert_eq!(mug.count_views(hour(number), 1), 1);
        }

        assert_eq!(mug.count_views(hour(3), 9), 0);
        assert_eq!(mug.hours.len(), 169);
    }

    #[test]
    fn ten_looks_are_worth_an_order() {
        let mut looked_at = mug();
        looked_at.views = 10.0;
        let mut bought = mug();
        bought.orders = 1.0;

        assert_eq!(looked_at.demand(), bought.demand());
    }
}
