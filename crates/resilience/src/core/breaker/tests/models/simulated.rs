//! Loom's atomics and lock in the place of the real ones.

use std::fmt;
use std::sync::atomic::Ordering;

use crate::core::breaker::cell::{Cell64, Lock};

/// Looks like an atomic, and tells loom of every use.
pub(super) type Simulated = loom::sync::atomic::AtomicU64;

impl Cell64 for Simulated {
    type Lock<T: fmt::Debug + Send> = loom::sync::Mutex<T>;

    fn new(value: u64) -> Self {
        Self::new(value)
    }

    fn load(&self, ordering: Ordering) -> u64 {
        self.load(ordering)
    }

    fn store(&self, value: u64, ordering: Ordering) {
        self.store(value, ordering);
    }

    fn swap(&self, value: u64, ordering: Ordering) -> u64 {
        self.swap(value, ordering)
    }

    fn fetch_add(&self, by: u64, ordering: Ordering) -> u64 {
        self.fetch_add(by, ordering)
    }

    fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.compare_exchange(current, new, success, failure)
    }

    fn fence() {
        loom::sync::atomic::fence(Ordering::SeqCst);
    }
}

impl<T: fmt::Debug + Send> Lock<T> for loom::sync::Mutex<T> {
    fn new(value: T) -> Self {
        Self::new(value)
    }

    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut self.lock().unwrap())
    }
}
