//! Decides reservations together when many come at once.
//!
//! Batching is by back pressure alone: while fewer than two batches are in
//! flight, whatever waits goes out at once, so that under light load a batch
//! has one order and nothing is waited for. Under heavy load orders gather
//! behind the two, in the order of their arrival.
//! The queue is bounded, because an order that waits for long is better refused.
//!
//! Where several processes share a database, each has a batcher, and their batches come
//! to the store at the same time. The order of arrival is then that at each of them.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use trellis_chassis::{Clock, Shutdown};

use crate::domain::Reserve;
use crate::error::Error;
use crate::store::{Store, Verdict};

/// As many orders as are decided together at most. They hold the rows of their products
/// for some milliseconds.
const BATCH: usize = 256;
/// One batch waits for the disk while the next one is on its way to it.
const IN_FLIGHT: usize = 2;
/// As many orders as may wait.
const QUEUE: usize = 4 * BATCH;

/// Takes reservations and answers each with its own verdict.
pub(crate) struct Batcher {
    queue: mpsc::Sender<Waiting>,
    desk: Desk,
}

/// Where batches are decided.
#[derive(Clone)]
struct Desk {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

struct Waiting {
    reserve: Reserve,
    answer: oneshot::Sender<Verdict>,
}

impl Batcher {
    /// Runs until a stop is requested, then decides what still waits.
    pub(crate) fn start(store: Arc<dyn Store>, clock: Arc<dyn Clock>, shutdown: &Shutdown) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let desk = Desk { store, clock };
        shutdown.spawn("inventory.batcher", run(waiting, desk.clone(), shutdown.clone()));
        Self { queue, desk }
    }

    /// Holds all lines or none.
    pub(crate) async fn reserve(&self, reserve: Reserve) -> Verdict {
        let (answer, verdict) = oneshot::channel();
        match self.queue.try_send(Waiting { reserve, answer }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(Error::Overloaded),
            // A call that was accepted before the stop is answered all the same.
            Err(TrySendError::Closed(waiting)) => self.desk.decide(vec![waiting]).await,
        }
        verdict.await.unwrap_or(Err(trellis_storage::Error::Closed.into()))
    }
}

async fn run(
    mut queue: mpsc::Receiver<Waiting>,
    desk: Desk,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let mut in_flight = FuturesUnordered::new();
    let mut requested = std::pin::pin!(shutdown.requested());
    let (mut stopping, mut drained) = (false, false);
    while !drained || !in_flight.is_empty() {
        let mut batch = Vec::new();
        tokio::select! {
            biased;
            Some(()) = in_flight.next() => {}
            () = &mut requested, if !stopping => {
                stopping = true;
                queue.close();
            }
            taken = queue.recv_many(&mut batch, BATCH), if !drained && in_flight.len() < IN_FLIGHT => {
                drained = taken == 0;
                if !drained {
                    in_flight.push(desk.decide(batch));
                }
            }
        }
    }
    Ok(())
}

impl Desk {
    async fn decide(&self, mut batch: Vec<Waiting>) {
        // Nobody would learn that their order was decided; a repetition will ask again.
        batch.retain(|waiting| !waiting.answer.is_closed());
        if batch.is_empty() {
            return;
        }
        let reserves: Vec<Reserve> = batch.iter().map(|waiting| waiting.reserve.clone()).collect();
        match self.store.reserve_batch(reserves, self.clock.now()).await {
            Ok(verdicts) => {
                for (waiting, verdict) in batch.into_iter().zip(verdicts) {
                    waiting.answer(verdict);
                }
            }
            Err(error) if batch.len() > 1 && error.may_be_poison() => {
                self.decide_each(batch).await;
            }
            Err(error) => {
                for waiting in batch {
                    waiting.answer(Err(error.clone()));
                }
            }
        }
    }

    /// Nothing of the batch was kept, so the good orders in it are decided
    /// without the one that cannot be.
    async fn decide_each(&self, batch: Vec<Waiting>) {
        for waiting in batch {
            let alone = vec![waiting.reserve.clone()];
            let verdict = match self.store.reserve_batch(alone, self.clock.now()).await {
                Ok(verdicts) => verdicts.into_iter().next(),
                Err(error) => Some(Err(error)),
            };
            waiting.answer(verdict.unwrap_or(Err(Error::Inconsistent("a batch without verdict"))));
        }
    }
}

impl Waiting {
    fn answer(self, verdict: Verdict) {
        if self.answer.send(verdict).is_err() {
            tracing::debug!(
                reservation_id = %self.reserve.reservation_id,
                "nobody waits for a reservation's verdict any more"
            );
        }
    }
}
