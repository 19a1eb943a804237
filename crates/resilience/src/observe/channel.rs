//! Events for someone who reads them later.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::{Event, Listener};

/// Puts events where [`Events`] takes them out. It never waits: what finds no room is
/// dropped and counted.
#[derive(Clone, Debug)]
pub struct ChannelListener {
    sender: mpsc::Sender<Event>,
    dropped: Arc<AtomicU64>,
}

/// The events of the [`ChannelListener`]s it was made with.
#[derive(Debug)]
pub struct Events {
    receiver: mpsc::Receiver<Event>,
    dropped: Arc<AtomicU64>,
}

/// Holds at most `capacity` events, which must not be zero.
pub fn channel(capacity: usize) -> (ChannelListener, Events) {
    let (sender, receiver) = mpsc::channel(capacity);
    let dropped = Arc::new(AtomicU64::new(0));
    (ChannelListener { sender, dropped: Arc::clone(&dropped) }, Events { receiver, dropped })
}

impl Events {
    /// The next event; `None` once all listeners are gone and all events are taken.
    pub async fn recv(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }

    /// The next event, if there is one already.
    pub fn try_recv(&mut self) -> Option<Event> {
        self.receiver.try_recv().ok()
    }

    /// How many events found no room.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Listener for ChannelListener {
    fn on_event(&self, event: &Event) {
        // The permit first, so that nothing is cloned in vain when nobody reads.
        match self.sender.try_reserve() {
            Ok(room) => room.send(event.clone()),
            Err(_) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chaos(rules: usize) -> Event {
        Event::ChaosChanged { rules }
    }

    #[tokio::test]
    async fn events_arrive_in_their_order_and_end_with_the_listeners() {
        let (listener, mut events) = channel(4);
        for rules in 1..=3 {
            listener.clone().on_event(&chaos(rules));
        }
        drop(listener);
        for rules in 1..=3 {
            assert_eq!(events.recv().await, Some(chaos(rules)));
        }
        assert_eq!(events.recv().await, None);
        assert_eq!(events.dropped(), 0);
    }

    #[tokio::test]
    async fn a_full_channel_drops_and_counts_but_never_waits() {
        let (listener, mut events) = channel(2);
        for rules in 1..=5 {
            listener.on_event(&chaos(rules));
        }
        assert_eq!(events.dropped(), 3);
        assert_eq!([events.try_recv(), events.try_recv()], [Some(chaos(1)), Some(chaos(2))]);
        assert_eq!(events.try_recv(), None);

        listener.on_event(&chaos(6));
        assert_eq!(events.recv().await, Some(chaos(6)), "there is room again");
    }

    #[test]
    fn a_listener_outlives_its_reader() {
        let (listener, events) = channel(2);
        drop(events);
        listener.on_event(&chaos(1));
        assert_eq!(listener.dropped.load(Ordering::Relaxed), 1);
    }
}
