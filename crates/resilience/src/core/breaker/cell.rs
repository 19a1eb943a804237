//! What the breaker shares between threads, so that a model checker can take its
//! place: the same code runs on the processor's atomics and on simulated ones.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Mutex, PoisonError};

/// An atomic word, with the lock that belongs to the same world.
pub(super) trait Cell64: fmt::Debug + Send + Sync {
    type Lock<T: fmt::Debug + Send>: Lock<T>;

    fn new(value: u64) -> Self;
    fn load(&self, ordering: Ordering) -> u64;
    fn store(&self, value: u64, ordering: Ordering);
    fn swap(&self, value: u64, ordering: Ordering) -> u64;
    fn fetch_add(&self, by: u64, ordering: Ordering) -> u64;
    /// The value that was found instead is the error, as with the atomics of `std`.
    fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64>;
    /// A sequentially consistent fence.
    fn fence();
}

/// A lock that is held for one closure.
pub(super) trait Lock<T>: fmt::Debug + Send + Sync {
    fn new(value: T) -> Self;
    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R;
}

impl Cell64 for AtomicU64 {
    type Lock<T: fmt::Debug + Send> = Mutex<T>;

    fn new(value: u64) -> Self {
        Self::new(value)
    }

    #[inline]
    fn load(&self, ordering: Ordering) -> u64 {
        self.load(ordering)
    }

    #[inline]
    fn store(&self, value: u64, ordering: Ordering) {
        self.store(value, ordering);
    }

    fn swap(&self, value: u64, ordering: Ordering) -> u64 {
        self.swap(value, ordering)
    }

    #[inline]
    fn fetch_add(&self, by: u64, ordering: Ordering) -> u64 {
        self.fetch_add(by, ordering)
    }

    #[inline]
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
        fence(Ordering::SeqCst);
    }
}

impl<T: fmt::Debug + Send> Lock<T> for Mutex<T> {
    fn new(value: T) -> Self {
        Self::new(value)
    }

    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        // Nothing that runs under it panics halfway through a change.
        work(&mut self.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
