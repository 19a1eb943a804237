//! Which of several copies a thread writes to, so that threads do not wait for one
//! another's cache lines.

use std::cell::Cell;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many shards keep the threads of this machine apart, mostly: a power of two.
pub(super) fn count() -> usize {
    static SHARDS: LazyLock<usize> = LazyLock::new(|| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        (2 * threads).next_power_of_two().min(8)
    });
    *SHARDS
}

/// That of this thread among `shards`, of which there are a power of two.
#[inline]
pub(super) fn mine<T>(shards: &[T]) -> &T {
    thread_local! {
        /// Threads are counted from one.
        static THREAD: Cell<usize> = const { Cell::new(0) };
    }
    let thread = match THREAD.get() {
        0 => {
            THREAD.set(next());
            THREAD.get()
        }
        thread => thread,
    };
    &shards[thread & (shards.len() - 1)]
}

#[cold]
fn next() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(1);
    THREADS.fetch_add(1, Ordering::Relaxed)
}
