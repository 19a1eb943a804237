//! Tells those who wait in this process how an order goes on.
//!
//! It is a short cut, not the truth: whoever waits also looks into the store
//! now and then, because another process may have changed the order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use trellis_api::id::OrderId;
use trellis_storage::idempotency::Answer;

use crate::domain::Order;

/// Where sagas say what has become of their orders. All clones are one.
///
/// It holds an entry for as long as somebody watches the order, and no longer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    watched: Arc<Mutex<HashMap<OrderId, watch::Sender<Option<Update>>>>>,
}

/// An order in a new state.
#[derive(Clone, Debug)]
pub(crate) struct Update {
    pub(crate) order: Arc<Order>,
    /// What its checkout was answered, if that is what has just ended.
    pub(crate) answer: Option<Arc<Answer>>,
}

/// Someone's look at an order.
#[derive(Debug)]
pub(crate) struct Watching {
    progress: Progress,
    order_id: OrderId,
    /// Always there, until the drop.
    receiver: Option<watch::Receiver<Option<Update>>>,
}

impl Progress {
    /// Watches an order from now on.
    pub(crate) fn watch(&self, order_id: OrderId) -> Watching {
        let receiver = self.watched().entry(order_id).or_default().subscribe();
        Watching { progress: self.clone(), order_id, receiver: Some(receiver) }
    }

    /// Tells those who watch.
    pub(crate) fn publish(&self, order: &Order, answer: Option<&Answer>) {
        if let Some(sender) = self.watched().get(&order.order_id) {
            let order = Arc::new(order.clone());
            let answer = answer.cloned().map(Arc::new);
            sender.send_replace(Some(Update { order, answer }));
        }
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<OrderId, watch::Sender<Option<Update>>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watching {
    /// Waits for the next change. Of several, it tells only the last.
    pub(crate) async fn next(&mut self) -> Update {
        let receiver = self.receiver.as_mut().expect("the receiver is there until the drop");
        loop {
            receiver.changed().await.expect("the sender is there while someone watches");
            if let Some(update) = receiver.borrow_and_update().clone() {
                return update;
            }
        }
    }

    pub(crate) fn order_id(&self) -> OrderId {
        self.order_id
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut watched = self.progress.watched();
        // Under the lock, so that nobody begins to watch in between.
        self.receiver = None;
        if watched.get(&self.order_id).is_some_and(|sender| sender.receiver_count() == 0) {
            watched.remove(&self.order_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use trellis_api::Money;
    use trellis_api::id::{Bucket, UserId};
    use uuid::Uuid;

    use super::*;
    use crate::domain::State;

    fn order() -> Order {
        let now = datetime!(2026-11-22 10:00 UTC);
        let user_id = UserId::new(now, Bucket::random());
        Order {
            order_id: OrderId::new(now, user_id.bucket()),
            user_id,
            request_id: Uuid::nil(),
            items: Arc::new([]),
            total: Money::zero("GBP".parse().unwrap()),
            state: State::Confirmed,
            create_time: now,
            update_time: now,
        }
    }

    #[tokio::test]
    async fn everyone_who_watches_hears_of_a_change() {
        let progress = Progress::default();
        let order = order();
        let mut one = progress.watch(order.order_id);
        let mut other = progress.watch(order.order_id);

        progress.publish(&order, None);

        assert_eq!(*one.next().await.order, order);
        assert_eq!(*other.next().await.order, order);
    }

    #[tokio::test]
    async fn an_order_that_nobody_watches_any_more_is_forgotten() {
        let progress = Progress::default();
        let order = order();
        let one = progress.watch(order.order_id);
        let other = progress.watch(order.order_id);

        drop(one);
        assert_eq!(progress.watched().len(), 1);
        drop(other);
        progress.publish(&order, None);

        assert!(progress.watched().is_empty());
    }
}
