//! Where spans that have ended wait, one behind another as they will be sent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::otlp::{self, Envelope};
use crate::tally::Tally;

/// How many bytes are sent at once, and one span more: a collector takes 4 MiB.
const BYTES: usize = 1024 * 1024;

/// The queue, which has a bound: whoever ends a span never waits.
#[derive(Debug)]
pub(super) struct Queue {
    tally: Arc<Tally>,
    /// How many spans are sent at once.
    batch: usize,
    /// All are full but the last, which may be.
    batches: Mutex<VecDeque<Batch>>,
    full: Notify,
}

/// Spans that are sent together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub spans: usize,
    pub bytes: Vec<u8>,
}

impl Queue {
    /// The bound is that of `tally`.
    pub(super) fn new(tally: Arc<Tally>, batch: usize) -> Self {
        Self { tally, batch, batches: Mutex::default(), full: Notify::new() }
    }

    /// Takes a span, which is asked for only if there is room.
    pub(super) fn put(&self, span: impl FnOnce() -> Vec<u8>) {
        if !self.tally.admit() {
            return;
        }
        let span = span();
        let mut batches = self.lock();
        if batches.back().is_none_or(|last| self.is_full(last)) {
            // The next is about as large as the last.
            let bytes = Vec::with_capacity(batches.back().map_or(0, |last| last.bytes.len()));
            batches.push_back(Batch { spans: 0, bytes });
        }
        if let Some(last) = batches.back_mut() {
            otlp::message(&mut last.bytes, Envelope::SPANS, &span);
            last.spans += 1;
            if self.is_full(last) {
                drop(batches);
                self.full.notify_one();
            }
        }
    }

    /// A full batch as soon as there is one, and else what there is after `delay`. One at
    /// a time may wait for it.
    pub(super) async fn next(&self, delay: Duration) -> Option<Batch> {
        let end = Instant::now() + delay;
        loop {
            if self.lock().front().is_some_and(|first| self.is_full(first)) {
                return self.take();
            }
            if timeout_at(end, self.full.notified()).await.is_err() {
                return self.take();
            }
        }
    }

    /// What has waited longest.
    pub(super) fn take(&self) -> Option<Batch> {
        let first = self.lock().pop_front()?;
        self.tally.took(first.spans);
        Some(first)
    }

    fn is_full(&self, batch: &Batch) -> bool {
        self.batch <= batch.spans || BYTES <= batch.bytes.len()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Batch>> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
