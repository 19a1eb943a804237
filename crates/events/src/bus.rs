//! How events get from a publisher to its consumers.
//!
//! A bus delivers at least once and may forget: the outbox is the truth.
//! [`Direct`] calls the consumers themselves; [`JetStream`] puts a broker between.

mod archive;
mod direct;
mod jetstream;
mod road;

use std::sync::Arc;

use crate::Event;

pub use archive::{Archive, Stream};
pub use direct::{Direct, Subscriber};
pub use jetstream::{Contents, JetStream, NatsUrl, NatsUrlError, Options, Publisher};

/// Carries events.
#[async_trait::async_trait]
pub trait Bus: Send + Sync {
    /// Hands events over. One outcome for each delivery, in the same order.
    async fn publish(&self, deliveries: Vec<Delivery>) -> Vec<Outcome>;

    /// Waits until there is something to publish to.
    async fn ready(&self) {}

    /// What it keeps of what it has taken, and so may lose.
    fn archive(&self) -> Option<&dyn Archive> {
        None
    }
}

/// One handing over of an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The event.
    pub event: Event,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How often a bus has lost the event after it had taken it.
    pub losses: u32,
}

/// Where a bus keeps an event that it has taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Receipt {
    /// Names one life of a stream: a stream that was made again has another name.
    pub stream: Arc<str>,
    /// The event's place in it.
    pub sequence: u64,
}

/// What became of a delivery. The order of the variants is that of their weight:
/// with several consumers, the heaviest outcome is that of the event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Every consumer has it, or nobody wants it, or the bus keeps it where the receipt
    /// says.
    Delivered(Option<Receipt>),
    /// A consumer failed: the attempt counts.
    Refused(String),
    /// A consumer or the bus was not there: the attempt does not count, or it would use
    /// up the attempts of an event that the consumer has never seen.
    Unreachable(String),
}

impl Delivery {
    /// A first attempt.
    pub fn first(event: Event) -> Self {
        Self { event, attempt: 1, losses: 0 }
    }
}
