//! Waits for an order to get somewhere.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, interval_at, sleep_until};
use trellis_api::id::{OrderId, UserId};
use trellis_chassis::deadline;

use crate::domain::{Order, State};
use crate::error::Error;
use crate::progress::{Update, Watching};

use super::Parts;

/// How often the store is looked into, in case another process works on the order.
pub(super) const POLL: Duration = Duration::from_millis(500);

/// How long a caller waits at the most.
const PATIENCE: Duration = Duration::from_secs(25);
/// How long one waits who names no deadline: such a caller still gives up after
/// [`deadline::CLIENT_PATIENCE`], and must have the answer before.
const PATIENCE_UNASKED: Duration = deadline::CLIENT_PATIENCE.saturating_sub(Duration::from_secs(2));
/// What is left of the caller's time for the answer's way back: a tenth, within these
/// bounds. When many wait for the same trouble, they are all answered at once.
const LEAST_WAY_BACK: Duration = Duration::from_millis(100);
const MOST_WAY_BACK: Duration = Duration::from_secs(1);
/// How long callers wait on once the process is to stop; then the answer is that
/// the order goes on without them.
const PATIENCE_AT_STOP: Duration = Duration::from_secs(10);

/// When the caller of this call must have an answer.
pub(super) fn until() -> Instant {
    let left = deadline::remaining().map(|left| left.saturating_sub(way_back(left)));
    Instant::now() + left.map_or(PATIENCE_UNASKED, |left| left.min(PATIENCE))
}

fn way_back(left: Duration) -> Duration {
    (left / 10).clamp(LEAST_WAY_BACK, MOST_WAY_BACK)
}

impl Parts {
    /// One of the customer's own orders.
    pub(super) async fn order(&self, user_id: UserId, order_id: OrderId) -> Result<Order, Error> {
        self.store.order(user_id, order_id).await?.ok_or(Error::OrderNotFound)
    }

    /// Waits until the order is in a state that is `enough`, or until the time is
    /// over, and says how the order was then.
    ///
    /// `known` is the order after `watching` began.
    pub(super) async fn wait(
        &self,
        watching: &mut Watching,
        known: Order,
        mut until: Instant,
        enough: fn(State) -> bool,
    ) -> Update {
        let user_id = known.user_id;
        let mut latest = Update { order: Arc::new(known), answer: None };
        let mut poll = interval_at(Instant::now() + POLL, POLL);
        let mut stopping = false;
        while !enough(latest.order.state) {
            tokio::select! {
                update = watching.next() => latest = update,
                _ = poll.tick() => {
                    if let Some(order) = self.look(user_id, watching.order_id()).await {
                        latest = Update { order: Arc::new(order), answer: None };
                    }
                }
                () = self.shutdown.requested(), if !stopping => {
                    stopping = true;
                    until = until.min(Instant::now() + PATIENCE_AT_STOP);
                }
                () = sleep_until(until) => break,
            }
        }
        latest
    }

    /// The order in the store. A failing store is no reason to fail someone who
    /// only waits.
    pub(super) async fn look(&self, user_id: UserId, order_id: OrderId) -> Option<Order> {
        match self.store.order(user_id, order_id).await {
            Ok(order) => order,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(%order_id, error, "an order that is waited for cannot be read");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_caller_who_names_no_deadline_is_answered_before_giving_up() {
        assert!(until() < Instant::now() + deadline::CLIENT_PATIENCE);
    }
}
