//! All series of one metric.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use std::sync::atomic::Ordering;

use super::OTHER;
use super::definition::{About, Sort};
use super::handle::{Buckets, Cell};

/// How many series of one metric are kept apart, which is OpenTelemetry's default
/// limit of cardinality. More mean that a label has values without a bound.
pub const MAX_SERIES: usize = 2_000;

#[derive(Debug)]
pub(super) struct Family {
    about: Arc<About>,
    series: RwLock<BTreeMap<Arc<[String]>, Cell>>,
}

/// A metric as it was read.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) about: Arc<About>,
    /// The values of the labels, and what was counted with them.
    pub(super) series: Vec<(Arc<[String]>, Value)>,
}

#[derive(Debug)]
pub(super) enum Value {
    Count(u64),
    Number(f64),
    Distribution(Buckets),
}

impl Family {
    pub(super) fn new(about: About) -> Self {
        Self { about: Arc::new(about), series: RwLock::default() }
    }

    pub(super) fn series(&self, about: &About, labels: &[&str]) -> Cell {
        let own = &*self.about;
        assert!(
            (own.sort, &own.labels, own.unit, own.bounds)
                == (about.sort, &about.labels, about.unit, about.bounds),
            "`{}` is defined in two ways",
            about.name
        );
        let labels: Arc<[String]> = labels.iter().map(|label| (*label).to_owned()).collect();
        let known =
            self.series.read().unwrap_or_else(PoisonError::into_inner).get(&labels).cloned();
        known.unwrap_or_else(|| self.add(labels))
    }

    fn add(&self, labels: Arc<[String]>) -> Cell {
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        let is_full = MAX_SERIES <= series.len() && !series.contains_key(&labels);
        let labels =
            if is_full { labels.iter().map(|_| OTHER.to_owned()).collect() } else { labels };
        let cell = || Cell::new(self.about.sort, self.about.bounds);
        series.entry(labels).or_insert_with(cell).clone()
    }

    pub(super) fn read(&self) -> Reading {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        let series = series.iter().map(|(labels, cell)| (Arc::clone(labels), cell.read()));
        Reading { about: Arc::clone(&self.about), series: series.collect() }
    }
}

impl Cell {
    fn read(&self) -> Value {
        match self {
            Self::Count(count) => Value::Count(count.load(Ordering::Relaxed)),
            Self::Value(bits) => Value::Number(f64::from_bits(bits.load(Ordering::Relaxed))),
            Self::Distribution(distribution) => Value::Distribution(distribution.read()),
        }
    }
}

impl Reading {
    pub(super) fn sort(&self) -> Sort {
        self.about.sort
    }
}
