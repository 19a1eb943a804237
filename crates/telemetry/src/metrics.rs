//! Metrics: what a process counts, kept in one registry that Prometheus reads and
//! that can be pushed over OTLP.
//!
//! A metric is a constant beside the code that counts it:
//!
//! ```
//! use trellis_telemetry::metrics::{Counter, Definition, Metrics, Unit};
//!
//! const ORDERS: Definition<Counter, 1> =
//!     Counter::define("shop.orders", Unit::of("{order}"), "Orders by how they ended.", ["outcome"]);
//!
//! let metrics = Metrics::default();
//! let confirmed = metrics.get(&ORDERS, ["confirmed"]);
//! confirmed.increment();
//! assert!(metrics.text().contains("shop_orders_total{outcome=\"confirmed\"} 1"));
//! ```
//!
//! Names are those of OpenTelemetry, with dots; Prometheus sees them with underscores,
//! the unit, and `_total` behind a counter, as OpenTelemetry's specification maps
//! them. Take a handle once and keep it: finding it takes a lock, counting with it is
//! a few atomic additions. Values of labels come from bounded sets, such as templates
//! of routes, and are never ids. Beyond [`MAX_SERIES`] of one metric, all further ones
//! are counted together as `_OTHER`.

mod definition;
mod exemplar;
mod family;
mod handle;
mod otlp;
mod process;
mod prometheus;
mod push;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

pub use definition::{Definition, Sort, Unit};
pub use exemplar::Exemplar;
pub use family::MAX_SERIES;
pub use handle::{Counter, Gauge, Histogram, LATENCY, Total};
pub(crate) use push::{Push, Pushing};

use definition::About;
use family::{Family, Reading};
use handle::{Cell, Instrument};
use otlp::Attributes;

/// The label value of what is not known, as OpenTelemetry writes it.
pub const OTHER: &str = "_OTHER";

/// The metrics of a process. Cheap to clone; all clones are one.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// By the name that Prometheus sees, in whose order they are shown.
    families: RwLock<BTreeMap<String, Arc<Family>>>,
    /// What the process is, for those who read more than one.
    resource: Attributes,
    before: Mutex<Vec<Box<dyn Fn() + Send>>>,
}

impl Metrics {
    /// Those of the process that these attributes describe.
    pub(crate) fn of(resource: Attributes) -> Self {
        Self(Arc::new(Shared { resource, ..Shared::default() }))
    }

    /// The handle of one series. The same definition and labels give the same series,
    /// which is shown from now on, also while it is zero.
    ///
    /// Panics if the name is defined in two ways.
    pub fn get<T: Instrument, const L: usize>(
        &self,
        definition: &Definition<T, L>,
        labels: [&str; L],
    ) -> T {
        T::from_cell(self.cell(&definition.about(), &labels))
    }

    /// As [`get`](Self::get), for what is counted through a facade that knows names at
    /// run time alone. A suffix `_seconds` is its unit.
    pub fn named<T: Instrument>(&self, name: &'static str, labels: &[(&'static str, &str)]) -> T {
        let keys = labels.iter().map(|(key, _)| *key).collect();
        let values: Vec<&str> = labels.iter().map(|(_, value)| *value).collect();
        T::from_cell(self.cell(&About::named::<T>(name, keys), &values))
    }

    /// Has `update` called before each reading, for values that somebody else keeps. It
    /// must be quick, and must not hold on to these metrics.
    pub fn before_reading(&self, update: impl Fn() + Send + 'static) {
        self.0.before.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(update));
    }

    /// The text that Prometheus reads, in its version 0.0.4.
    pub fn text(&self) -> String {
        prometheus::encode(&self.read(), &self.0.resource, prometheus::Dialect::Text)
    }

    /// The text of `OpenMetrics` 1.0, which can hold exemplars.
    pub fn open_metrics(&self) -> String {
        prometheus::encode(&self.read(), &self.0.resource, prometheus::Dialect::OpenMetrics)
    }

    fn cell(&self, about: &About, labels: &[&str]) -> Cell {
        let name = about.prometheus_name();
        let known = {
            let families = self.0.families.read().unwrap_or_else(PoisonError::into_inner);
            families.get(&name).map(Arc::clone)
        };
        let family = known.unwrap_or_else(|| {
            let mut families = self.0.families.write().unwrap_or_else(PoisonError::into_inner);
            let family = families.entry(name);
            Arc::clone(family.or_insert_with(|| Arc::new(Family::new(about.clone()))))
        });
        family.series(about, labels)
    }

    fn read(&self) -> Vec<Reading> {
        for update in &*self.0.before.lock().unwrap_or_else(PoisonError::into_inner) {
            update();
        }
        let families = self.0.families.read().unwrap_or_else(PoisonError::into_inner);
        families.values().map(|family| family.read()).collect()
    }
}

/// What leaves the process says when it was true for the world.
#[expect(clippy::disallowed_methods, reason = "whoever reads it compares it with their own clock")]
fn now() -> SystemTime {
    SystemTime::now()
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
