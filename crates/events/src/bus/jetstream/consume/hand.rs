//! One event in hand.

use std::pin::pin;
use std::slice;

use async_nats::jetstream::{AckKind, Message};
use tokio::time::sleep;

use super::{Listener, settle};
use crate::bus::jetstream::message;
use crate::bus::{Delivery, Outcome};
use crate::relay::WHILE_AWAY;

/// What the consumer said.
enum Answer {
    Done,
    Refused(String),
    /// Nothing, until a stop was requested.
    None,
}

impl Listener<'_> {
    /// Hands over an event and settles it.
    pub(super) async fn handle(&self, message: Message) {
        let attempt = attempt(&message);
        if 1 < attempt {
            self.meters.redeliveries.increment();
        }
        let event = match message::read(&message.payload) {
            Ok(event) => event,
            Err(error) => {
                let (consumer, kind, place) = (self.consumer, self.kind, place(&message));
                tracing::error!(consumer, kind, place, error, "message is no event, it is dropped");
                self.meters.unreadable.increment();
                return settle(&message, AckKind::Term).await;
            }
        };
        let delivery = Delivery { event, attempt, losses: 0 };
        match self.keep(&message, self.ask(&delivery)).await {
            Answer::Done => settle(&message, AckKind::Ack).await,
            Answer::Refused(error) => {
                let event_id = delivery.event.event_id;
                tracing::warn!(event_id, attempt, error, "event was refused");
                let delay = self.connection.options().after_refusal.delay(attempt);
                settle(&message, AckKind::Nak(Some(delay))).await;
            }
            Answer::None => settle(&message, AckKind::Nak(Some(WHILE_AWAY.cap))).await,
        }
    }

    /// Asks until there is an answer. An event of a consumer that is away stays in hand,
    /// for each time that it is sent counts as an attempt.
    async fn ask(&self, delivery: &Delivery) -> Answer {
        let mut failures = 0;
        loop {
            let outcomes = self.road.hand_over(slice::from_ref(delivery)).await;
            match outcomes.into_iter().next() {
                // One that the consumer did not ask for is of no interest to it.
                None | Some((_, Outcome::Delivered(_))) => return Answer::Done,
                Some((_, Outcome::Refused(error))) => return Answer::Refused(error),
                Some((_, Outcome::Unreachable(_))) => failures += 1,
            }
            tokio::select! {
                () = sleep(WHILE_AWAY.delay(failures)) => {}
                () = self.shutdown.requested() => return Answer::None,
            }
        }
    }

    /// Tells the server now and then that somebody works on it.
    async fn keep<T>(&self, message: &Message, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = sleep(self.connection.options().ack_wait / 3) => {
                    settle(message, AckKind::Progress).await;
                }
            }
        }
    }
}

/// How often the server has handed it out. One of version 2.9 counts too few where it
/// tried to hand it to a process that had just died.
fn attempt(message: &Message) -> u32 {
    let delivered = message.info().map_or(1, |info| info.delivered);
    u32::try_from(delivered).unwrap_or(u32::MAX).max(1)
}

fn place(message: &Message) -> Option<u64> {
    message.info().ok().map(|info| info.stream_sequence)
}
