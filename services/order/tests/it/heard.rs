//! Who hears of orders.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::timeout;
use trellis_events::Event;
use trellis_events::bus::{Bus, Delivery, Outcome};

/// A bus that delivers to a list.
#[derive(Clone, Default)]
pub(crate) struct Heard {
    events: Arc<Mutex<Vec<Event>>>,
    more: Arc<Notify>,
}

impl Heard {
    /// The different events of a kind that were delivered about this subject.
    pub(crate) fn count(&self, kind: &str, subject: &str) -> usize {
        let events = self.events.lock().unwrap();
        let ids = events
            .iter()
            .filter(|event| event.r#type == kind && event.subject == subject)
            .map(|event| &event.event_id);
        ids.collect::<BTreeSet<_>>().len()
    }

    pub(crate) fn find(&self, kind: &str) -> Option<Event> {
        self.events.lock().unwrap().iter().find(|event| event.r#type == kind).cloned()
    }

    /// Waits until an event of this kind has been delivered.
    pub(crate) async fn heard(&self, kind: &str) -> Event {
        loop {
            let more = self.more.notified();
            if let Some(event) = self.find(kind) {
                return event;
            }
            timeout(Duration::from_secs(20), more).await.unwrap();
        }
    }
}

#[async_trait]
impl Bus for Heard {
    async fn publish(&self, deliveries: Vec<Delivery>) -> Vec<Outcome> {
        let outcomes = vec![Outcome::Delivered(None); deliveries.len()];
        self.events.lock().unwrap().extend(deliveries.into_iter().map(|delivery| delivery.event));
        self.more.notify_waiters();
        outcomes
    }
}
