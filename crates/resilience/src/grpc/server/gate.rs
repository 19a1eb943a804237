//! The way in: a call gets a slot of the limiter, waits for one, or is sent away.
//!
//! Whoever leaves hands its slot on. Nobody can be forgotten: who queues looks at the
//! slots once more afterwards, and who leaves looks at the queue, so that of two who do
//! that at once, one sees the other.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::measures::Measures;
use crate::core::clock::{Clock, Time};
use crate::core::environment::Environment;
use crate::core::limit::{Admission, Limiter, Sample};
use crate::core::queue::{self, Cause, Dropped, Entry, Queue, Ticket};
use crate::policy::Criticality;

/// So many times the limit may wait.
const ROOM: usize = 2;

/// Lets calls in as the limiter says.
#[derive(Debug)]
pub(super) struct Gate {
    limiter: Limiter,
    queue: Mutex<Queue<Waiter>>,
    /// How many wait, so that nobody has to lock the queue to see that it is empty.
    waiting: AtomicUsize,
    settings: queue::Settings,
    measures: Arc<Measures>,
    clock: Arc<dyn Clock>,
}

/// The slot of a call, which dropping hands on.
#[must_use = "dropping it gives the slot back"]
#[derive(Debug)]
pub(super) struct Pass {
    /// `None` once it was handed on.
    gate: Option<Arc<Gate>>,
    admission: Admission,
}

type Waiter = oneshot::Sender<Result<Pass, Cause>>;

/// One in the queue, which leaves it when this is dropped.
struct Place<'a> {
    gate: &'a Gate,
    ticket: Ticket,
}

impl Gate {
    pub(super) fn new(
        limiter: Limiter,
        queue: queue::Settings,
        measures: Arc<Measures>,
        environment: &Environment,
    ) -> Self {
        Self {
            limiter,
            queue: Mutex::new(Queue::new(queue)),
            waiting: AtomicUsize::new(0),
            settings: queue,
            measures,
            clock: Arc::clone(&environment.clock),
        }
    }

    pub(super) fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    pub(super) fn is_standing(&self) -> bool {
        self.lock().is_standing()
    }

    /// Brings the gauges up to date.
    pub(super) fn publish(&self) {
        self.measures.in_flight(self.limiter.inflight(), self.limiter.limit());
        self.measures.waiting(self.waiting());
    }

    /// Waits for a slot until `deadline`. To drop it while it waits leaves no trace.
    pub(super) async fn enter(
        self: &Arc<Self>,
        criticality: Criticality,
        level: u8,
        deadline: Option<Instant>,
    ) -> Result<Pass, Cause> {
        let now = self.clock.now();
        // Nobody overtakes those who wait.
        if self.waiting() == 0
            && let Some(admission) = self.limiter.admit(now)
        {
            return Ok(self.pass(admission));
        }
        let end = deadline.map(|end| now + end.saturating_duration_since(Instant::now()));
        let (waiter, mut answer) = oneshot::channel();
        let patience = self.patience(criticality);
        let entry = Entry { criticality, level, deadline: end, patience: Some(patience) };
        let place = self.queue_up(entry, waiter, now);
        self.let_in();
        let longest = Instant::now() + patience;
        let end = deadline.map_or(longest, |deadline| deadline.min(longest));
        if let Ok(answer) = tokio::time::timeout_at(end, &mut answer).await {
            // All who wait are answered, unless a panic came between.
            return answer.unwrap_or(Err(Cause::Full));
        }
        drop(place);
        let is_expired = deadline.is_some_and(|deadline| deadline <= end);
        let cause = if is_expired { Cause::Expired } else { Cause::TooLong };
        // It may have been answered at the last moment.
        answer.try_recv().unwrap_or(Err(cause))
    }

    /// As long as a call usually takes, so that waiting at most doubles its time: a late
    /// refusal is worse than an early one, except where any refusal is bad.
    fn patience(&self, criticality: Criticality) -> Duration {
        let queue::Settings { interval, longest, .. } = self.settings;
        let times = if criticality <= Criticality::Critical { 2 } else { 1 };
        let latency = self.limiter.latency();
        latency.map_or(longest, |latency| (latency.max(interval) * times).min(longest))
    }

    fn queue_up(self: &Arc<Self>, entry: Entry, waiter: Waiter, now: Time) -> Place<'_> {
        let bound = ROOM * self.limiter.limit();
        let mut dropped = Vec::new();
        let mut queue = self.lock();
        let ticket = queue.push(entry, waiter, bound, now, &mut dropped);
        self.recount(queue);
        refuse(dropped);
        Place { gate: self, ticket }
    }

    /// Gives the free slots to those who wait.
    fn let_in(self: &Arc<Self>) {
        while 0 < self.waiting() {
            let now = self.clock.now();
            let Some(admission) = self.limiter.admit(now) else {
                return;
            };
            let mut dropped = Vec::new();
            let mut queue = self.lock();
            let served = queue.pop(now, &mut dropped);
            self.recount(queue);
            refuse(dropped);
            let Some(served) = served else {
                self.limiter.settle(admission, Sample::Ignored, now);
                continue;
            };
            self.measures.waited(served.waited);
            if let Err(Ok(pass)) = served.item.send(Ok(self.pass(admission))) {
                // It went away just now. Dropping the pass would call this again.
                pass.put_back(now);
            }
        }
    }

    fn pass(self: &Arc<Self>, admission: Admission) -> Pass {
        self.measures.in_flight(self.limiter.inflight(), self.limiter.limit());
        Pass { gate: Some(Arc::clone(self)), admission }
    }

    fn left(self: &Arc<Self>) {
        self.measures.in_flight(self.limiter.inflight(), self.limiter.limit());
        self.let_in();
    }

    /// After every change of the queue, and before the lock is given up.
    fn recount(&self, queue: MutexGuard<'_, Queue<Waiter>>) {
        let waiting = queue.len();
        // In one order with the count of the calls in flight; see `Limiter::admit`.
        self.waiting.store(waiting, Ordering::SeqCst);
        drop(queue);
        self.measures.waiting(waiting);
    }

    fn lock(&self) -> MutexGuard<'_, Queue<Waiter>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    pub(super) fn finish(mut self, sample: Sample) {
        if let Some(gate) = self.gate.take() {
            gate.limiter.settle(self.admission, sample, gate.clock.now());
            gate.left();
        }
    }

    fn put_back(mut self, now: Time) {
        if let Some(gate) = self.gate.take() {
            gate.limiter.settle(self.admission, Sample::Ignored, now);
        }
    }
}

impl Drop for Pass {
    /// The call was cut; see [`crate::core::limit::Slot`].
    fn drop(&mut self) {
        if let Some(gate) = self.gate.take() {
            gate.limiter.cancel(self.admission, gate.clock.now());
            gate.left();
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut queue = self.gate.lock();
        if queue.remove(self.ticket).is_some() {
            self.gate.recount(queue);
        }
    }
}

fn refuse(dropped: Vec<Dropped<Waiter>>) {
    for Dropped { item, cause, .. } in dropped {
        // Who is gone needs no answer.
        let _ = item.send(Err(cause));
    }
}

#[cfg(test)]
mod tests;
