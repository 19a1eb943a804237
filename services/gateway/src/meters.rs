//! What is counted of what customers look at.

use trellis_api::shop::v1::get_product_request::Source;
use trellis_telemetry::metrics::{Counter, Definition, Metrics, Unit};

const VIEWS: Definition<Counter, 1> = Counter::define(
    "trellis.shop.product_views",
    Unit::of("{view}"),
    "Product pages that were shown, by what led to them.",
    ["source"],
);
const SHOWN: Definition<Counter, 0> = Counter::define(
    "trellis.shop.recommendations_shown",
    Unit::of("{product}"),
    "Products that were recommended, on pages and by themselves.",
    [],
);
const CLICKS: Definition<Counter, 0> = Counter::define(
    "trellis.shop.recommendation_clicks",
    Unit::of("{view}"),
    "Product pages that a recommendation led to.",
    [],
);
const DEGRADED: Definition<Counter, 1> = Counter::define(
    "trellis.gateway.degraded",
    Unit::of("{answer}"),
    "Answers that had to do without a part, or with an old one.",
    ["part"],
);

/// What may be missing from an answer.
const PARTS: [&str; 3] = ["inventory", "prices", "recommendations"];

#[derive(Debug)]
pub(crate) struct Meters {
    direct: Counter,
    search: Counter,
    recommendation: Counter,
    shown: Counter,
    clicks: Counter,
    degraded: [Counter; PARTS.len()],
}

impl Meters {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let views = |source| metrics.get(&VIEWS, [source]);
        Self {
            direct: views("direct"),
            search: views("search"),
            recommendation: views("recommendation"),
            shown: metrics.get(&SHOWN, []),
            clicks: metrics.get(&CLICKS, []),
            degraded: PARTS.map(|part| metrics.get(&DEGRADED, [part])),
        }
    }

    pub(crate) fn viewed(&self, source: Source) {
        match source {
            Source::Unspecified => self.direct.increment(),
            Source::Search => self.search.increment(),
            Source::Recommendation => {
                self.recommendation.increment();
                self.clicks.increment();
            }
        }
    }

    pub(crate) fn recommended(&self, products: usize) {
        self.shown.add(u64::try_from(products).unwrap_or(u64::MAX));
    }

    /// An answer without these parts.
    pub(crate) fn degraded(&self, missing: &[String]) {
        for (part, counter) in PARTS.iter().zip(&self.degraded) {
            if missing.iter().any(|missing| missing == part) {
                counter.increment();
            }
        }
    }
}
