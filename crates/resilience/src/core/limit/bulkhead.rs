//! A limit that does not move.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Lets at most so many calls be in flight. It never queues. Cheap to clone; all clones
/// are one.
#[derive(Clone, Debug)]
pub struct Bulkhead(Arc<Places>);

/// A place in a [`Bulkhead`], which dropping gives back.
#[must_use = "dropping it gives the place back"]
#[derive(Debug)]
pub struct Place(Arc<Places>);

/// A line of its own, apart from the count of references before it.
#[derive(Debug)]
#[repr(align(128))]
struct Places {
    limit: AtomicUsize,
    taken: AtomicUsize,
}

impl Bulkhead {
    /// `limit` calls may be in flight at once; with zero, none.
    pub fn new(limit: usize) -> Self {
        let limit = AtomicUsize::new(limit);
        Self(Arc::new(Places { limit, taken: AtomicUsize::new(0) }))
    }

    /// `None` if all places are taken.
    pub fn try_acquire(&self) -> Option<Place> {
        self.enter().then(|| Place(Arc::clone(&self.0)))
    }

    /// How many calls may be in flight.
    pub fn limit(&self) -> usize {
        self.0.limit.load(Ordering::Relaxed)
    }

    /// Holds for who comes; nobody has to leave.
    pub fn set_limit(&self, limit: usize) {
        self.0.limit.store(limit, Ordering::Relaxed);
    }

    /// How many are.
    pub fn inflight(&self) -> usize {
        self.0.taken.load(Ordering::Relaxed)
    }

    /// As [`try_acquire`](Self::try_acquire), for callers that keep this and see to it
    /// themselves that they [`leave`](Self::leave).
    pub(crate) fn enter(&self) -> bool {
        let limit = self.limit();
        // The count guards no memory, so it needs no order.
        let step = |taken| (taken < limit).then_some(taken + 1);
        self.0.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).is_ok()
    }

    pub(crate) fn leave(&self) {
        self.0.leave();
    }
}

impl Places {
    fn leave(&self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_never_overfilled_and_a_place_can_be_taken_again() {
        let bulkhead = Bulkhead::new(2);
        let first = bulkhead.try_acquire().unwrap();
        let second = bulkhead.try_acquire().unwrap();

        assert!(bulkhead.try_acquire().is_none());
        drop(first);
        let third = bulkhead.try_acquire().unwrap();
        assert!(bulkhead.try_acquire().is_none());

        drop((second, third));
        assert_eq!(bulkhead.inflight(), 0);
    }

    #[test]
    fn a_smaller_limit_lets_those_finish_who_are_in() {
        let bulkhead = Bulkhead::new(2);
        let places = [bulkhead.try_acquire().unwrap(), bulkhead.try_acquire().unwrap()];

        bulkhead.set_limit(1);

        assert_eq!(bulkhead.inflight(), 2);
        drop(places);
        assert!(bulkhead.try_acquire().is_some());
    }

    #[test]
    fn a_panic_gives_its_place_back() {
        let bulkhead = Bulkhead::new(1);
        let inner = bulkhead.clone();

        let result = std::panic::catch_unwind(move || {
            let _place = inner.try_acquire().unwrap();
            panic!("on purpose");
        });

        assert!(result.is_err());
        assert!(bulkhead.try_acquire().is_some());
    }
}
