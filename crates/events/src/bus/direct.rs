//! A bus without a broker: the publisher calls the consumers.

use std::fmt;
use std::sync::Arc;

use futures::future::join_all;
use tokio::sync::SetOnce;
use trellis_chassis::transport::Transport;

use super::road::Road;
use super::{Bus, Delivery, Outcome};

/// Hands events to each consumer that wants them. Clones are one bus.
#[derive(Clone, Default)]
pub struct Direct {
    roads: Arc<SetOnce<Vec<Road>>>,
}

/// A consumer, what it wants to hear and how it is reached.
pub struct Subscriber {
    /// Its name, for the log.
    pub consumer: &'static str,
    /// The kinds of events that it wants.
    pub kinds: &'static [&'static str],
    /// The way to its `ConsumerService`.
    pub transport: Transport,
}

impl Direct {
    /// Names the consumers, once: until then everyone who publishes waits,
    /// because services start before those that hear them.
    ///
    /// # Panics
    ///
    /// When the bus is connected already.
    pub fn connect(&self, subscribers: Vec<Subscriber>) {
        let roads = subscribers.into_iter().map(Road::new).collect();
        assert!(self.roads.set(roads).is_ok(), "a bus is connected once");
    }
}

#[async_trait::async_trait]
impl Bus for Direct {
    async fn publish(&self, deliveries: Vec<Delivery>) -> Vec<Outcome> {
        let roads = self.roads.wait().await;
        let hand_overs = roads.iter().map(|road| road.hand_over(&deliveries));

        let mut outcomes = vec![Outcome::Delivered(None); deliveries.len()];
        for (index, outcome) in join_all(hand_overs).await.into_iter().flatten() {
            if outcomes[index] < outcome {
                outcomes[index] = outcome;
            }
        }
        outcomes
    }

    async fn ready(&self) {
        self.roads.wait().await;
    }
}

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Direct").field("consumers", &self.roads.get()).finish()
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("consumer", &self.consumer)
            .field("kinds", &self.kinds)
            .finish_non_exhaustive()
    }
}
