//! Cells by name and labels, in a bounded number.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};

use crate::observe::Label;

/// Sorted by the names of the labels, so that their order at the call does not matter.
type Labels = Vec<Label>;

#[derive(Debug)]
pub(super) struct Series<C> {
    limit: usize,
    kept: Mutex<Kept<C>>,
}

#[derive(Debug)]
struct Kept<C> {
    cells: BTreeMap<&'static str, BTreeMap<Labels, Arc<C>>>,
    count: usize,
    folded: u64,
}

impl<C: Default> Series<C> {
    pub(super) fn new(limit: usize) -> Self {
        let kept = Kept { cells: BTreeMap::new(), count: 0, folded: 0 };
        Self { limit, kept: Mutex::new(kept) }
    }

    /// The cell of these labels, or the one for the rest if there are too many.
    pub(super) fn get(&self, name: &'static str, labels: &[Label]) -> Arc<C> {
        let mut labels = labels.to_vec();
        labels.sort_unstable();
        let mut kept = self.lock();
        let Kept { cells, count, folded } = &mut *kept;
        let named = cells.entry(name).or_default();
        if let Some(cell) = named.get(&labels) {
            return Arc::clone(cell);
        }
        if *count < self.limit {
            *count += 1;
        } else {
            *folded += 1;
            labels = vec![("other", "true".to_owned())];
        }
        Arc::clone(named.entry(labels).or_default())
    }

    pub(super) fn find(
        &self,
        name: &str,
        wanted: &[(&str, &str)],
    ) -> impl Iterator<Item = Arc<C>> + use<C> {
        let kept = self.lock();
        let named = kept.cells.get(name).into_iter().flatten();
        let found = named.filter(|(labels, _)| has_all(labels, wanted));
        found.map(|(_, cell)| Arc::clone(cell)).collect::<Vec<_>>().into_iter()
    }

    pub(super) fn folded(&self) -> u64 {
        self.lock().folded
    }

    /// Without the cells that have no value, and the names of which none has.
    pub(super) fn snapshot(&self, value: impl Fn(&C) -> Option<Value>) -> Value {
        let kept = self.lock();
        let named = kept.cells.iter().filter_map(|(name, series)| {
            let series = series.iter().filter_map(|(labels, cell)| {
                let value = value(cell)?;
                let labels = labels.iter().map(|(name, text)| ((*name).to_owned(), json!(text)));
                Some(json!({ "labels": labels.collect::<Map<_, _>>(), "value": value }))
            });
            let series: Vec<_> = series.collect();
            (!series.is_empty()).then(|| ((*name).to_owned(), json!(series)))
        });
        Value::Object(named.collect())
    }

    fn lock(&self) -> MutexGuard<'_, Kept<C>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn has_all(labels: &Labels, wanted: &[(&str, &str)]) -> bool {
    let has = |(name, text): &(&str, &str)| labels.iter().any(|(n, t)| n == name && t == text);
    wanted.iter().all(has)
}
