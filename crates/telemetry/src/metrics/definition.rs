//! What a metric is called and what it means.

use std::borrow::Cow;
use std::marker::PhantomData;

use super::handle::{Instrument, LATENCY};

/// A metric with `L` labels, as a constant.
#[derive(Debug)]
pub struct Definition<T, const L: usize> {
    pub(super) name: &'static str,
    pub(super) unit: Unit,
    pub(super) help: &'static str,
    pub(super) labels: [&'static str; L],
    pub(super) bounds: &'static [f64],
    pub(super) sort: PhantomData<fn() -> T>,
}

/// What is measured in, as the Unified Code for Units of Measure writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit(&'static str);

/// How the values of a metric go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// It only grows.
    Counter,
    /// The same, but somebody else counts.
    Total,
    /// It has one value at a time.
    Gauge,
    /// It has a distribution of values.
    Histogram,
}

impl Unit {
    /// `s`
    pub const SECONDS: Self = Self("s");
    /// `By`
    pub const BYTES: Self = Self("By");
    /// A plain number.
    pub const NONE: Self = Self("");

    /// What is counted, in braces, such as `{order}`; it is no part of the name.
    pub const fn of(things: &'static str) -> Self {
        Self(things)
    }

    pub(super) const fn as_str(self) -> &'static str {
        self.0
    }

    /// What Prometheus has behind the name.
    pub(super) fn suffix(self) -> Option<&'static str> {
        match self.0 {
            "s" => Some("seconds"),
            "By" => Some("bytes"),
            _ => None,
        }
    }
}

/// A definition whose labels are counted at run time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct About {
    pub(super) name: &'static str,
    pub(super) unit: Unit,
    pub(super) help: Cow<'static, str>,
    pub(super) labels: Vec<&'static str>,
    pub(super) bounds: &'static [f64],
    pub(super) sort: Sort,
}

/// The bounds of numbers of things.
const NUMBERS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

impl Sort {
    pub(super) fn is_counter(self) -> bool {
        matches!(self, Self::Counter | Self::Total)
    }
}

impl<T: Instrument, const L: usize> Definition<T, L> {
    pub(super) fn about(&self) -> About {
        About {
            name: self.name,
            unit: self.unit,
            help: Cow::Borrowed(self.help),
            labels: self.labels.to_vec(),
            bounds: self.bounds,
            sort: T::SORT,
        }
    }
}

impl About {
    pub(super) fn named<T: Instrument>(name: &'static str, labels: Vec<&'static str>) -> Self {
        let (name, unit) = match name.strip_suffix("_seconds") {
            Some(name) => (name, Unit::SECONDS),
            None => (name.strip_suffix("_total").unwrap_or(name), Unit::NONE),
        };
        let bounds: &[f64] = match (T::SORT, unit) {
            (Sort::Histogram, Unit::SECONDS) => LATENCY,
            (Sort::Histogram, _) => NUMBERS,
            _ => &[],
        };
        Self { name, unit, help: Cow::Borrowed(""), labels, bounds, sort: T::SORT }
    }

    /// Without the `_total` of a counter.
    pub(super) fn prometheus_base(&self) -> String {
        let mut name = self.name.replace('.', "_");
        if let Some(suffix) = self.unit.suffix() {
            name = format!("{name}_{suffix}");
        }
        name
    }

    pub(super) fn prometheus_name(&self) -> String {
        let base = self.prometheus_base();
        if self.sort.is_counter() { format!("{base}_total") } else { base }
    }
}
