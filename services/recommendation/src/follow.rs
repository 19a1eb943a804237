//! Keeps the model in step with the store.
//!
//! The store is the log and the model follows it: what was learned before a
//! start and what is heard now take one road, in the store's order, so nothing
//! is lost between the two and nothing counts twice. Several processes each have a
//! model, and learn from what any of them hears. A model that has fallen behind
//! still answers, from what it has read.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::Mutex;
use tokio::time::sleep;
use trellis_api::Sku;
use trellis_chassis::Shutdown;
use trellis_storage::Error;

use crate::domain::{Limits, Model, Position};
use crate::store::{Follower, Store};

/// How long something may stay unread that nobody has waited for, such as what
/// another process wrote.
const EVERY: Duration = Duration::from_secs(1);
/// How much is read at once.
const BATCH: u32 = 1_000;
/// How many changes are learned between two chances for others to ask.
const STRIDE: usize = 50;

/// The model and how it learns.
pub(crate) struct Learner {
    store: Arc<dyn Store>,
    follower: Follower,
    limits: Limits,
    learned: RwLock<Learned>,
    /// Held by whoever reads: the others find what they wait for already read.
    turn: Mutex<()>,
}

struct Learned {
    model: Model,
    /// How many baskets were gone before there was this model.
    forgotten_before: i64,
}

/// How much the model has learned, at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    pub(crate) position: Position,
    /// Baskets learned from, or gone before they could be.
    pub(crate) baskets: i64,
}

impl Learner {
    /// A learner that has read nothing yet.
    pub(crate) async fn new(
        store: Arc<dyn Store>,
        limits: Limits,
        now: OffsetDateTime,
    ) -> Result<Self, Error> {
        let follower = Follower::random();
        let forgotten_before = store.follow(follower, now).await?.baskets;
        let learned = RwLock::new(Learned { model: Model::new(limits), forgotten_before });
        Ok(Self { store, follower, limits, learned, turn: Mutex::default() })
    }

    /// Forgets everything, to be read again: nobody has waited for this learner.
    pub(crate) async fn begin_anew(&self, now: OffsetDateTime) -> Result<(), Error> {
        let _turn = self.turn.lock().await;
        let forgotten_before = self.store.follow(self.follower, now).await?.baskets;
        let anew = Learned { model: Model::new(self.limits), forgotten_before };
        *self.learned.write().unwrap_or_else(PoisonError::into_inner) = anew;
        Ok(())
    }

    pub(crate) fn follower(&self) -> Follower {
        self.follower
    }

    pub(crate) fn suggest(&self, context: &[Sku], count: usize) -> Vec<Sku> {
        self.learned().model.suggest(context, count)
    }

    pub(crate) fn progress(&self) -> Progress {
        let Learned { model, forgotten_before } = &*self.learned();
        Progress { position: model.position(), baskets: forgotten_before + model.learned() }
    }

    /// Reads up to `position`, or one batch of what lies before it: whoever
    /// waits for a new event does not wait for the old ones of a long rebuild.
    pub(crate) async fn reach(&self, position: Position) -> Result<(), Error> {
        if self.learned().model.position().covers(position) {
            return Ok(());
        }
        let _turn = self.turn.lock().await;
        if !self.learned().model.position().covers(position) {
            self.read().await?;
        }
        Ok(())
    }

    /// Reads one batch; says whether there may be more.
    pub(crate) async fn advance(&self) -> Result<bool, Error> {
        let _turn = self.turn.lock().await;
        self.read().await
    }

    /// May be dropped at any point: the model knows how far it is.
    async fn read(&self) -> Result<bool, Error> {
        let position = self.learned().model.position();
        let changes = self.store.changes(position, BATCH).await?;
        for baskets in changes.baskets.chunks(STRIDE) {
            self.teach(|model| baskets.iter().for_each(|basket| model.learn(basket)));
            tokio::task::yield_now().await;
        }
        for views in changes.views.chunks(STRIDE) {
            self.teach(|model| views.iter().for_each(|views| model.observe(views)));
            tokio::task::yield_now().await;
        }
        let full = BATCH as usize;
        Ok(changes.baskets.len() == full || changes.views.len() == full)
    }

    // Suggestions that a panic has left half-learned are better than none, so a
    // poisoned lock is no reason to stop.

    fn learned(&self) -> RwLockReadGuard<'_, Learned> {
        self.learned.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn teach(&self, lesson: impl FnOnce(&mut Model)) {
        lesson(&mut self.learned.write().unwrap_or_else(PoisonError::into_inner).model);
    }
}

/// Reads all that there is, then whatever nobody has waited for.
pub(crate) async fn run(learner: Arc<Learner>, shutdown: Shutdown) -> anyhow::Result<()> {
    while !shutdown.is_requested() {
        let more = learner.advance().await.unwrap_or_else(|error| {
            // A store that is down comes back, or its other callers say so.
            tracing::warn!(error = &error as &dyn std::error::Error, "the store cannot be read");
            false
        });
        if !more {
            tokio::select! {
                () = shutdown.requested() => {}
                () = sleep(EVERY) => {}
            }
        }
    }
    Ok(())
}
