//! The receiving side: hands each event to a handler and gives up in the end.
//!
//! The promise to the sender: what is answered as done need not be sent again.
//! That the effect happens once is the handler's part: it calls
//! [`crate::inbox::admit`] in the transaction of the effect.

mod attempt;
mod housekeeping;
mod meters;
mod server;

use std::error::Error;
use std::iter;
use std::sync::Arc;

use tonic::Request;
use tonic::metadata::MetadataValue;
use trellis_api::event::v1::consumer_service_server::ConsumerServiceServer;
use trellis_api::limits::Bounded as _;
use trellis_chassis::Clock;
use trellis_telemetry::Metrics;

use crate::Event;
use crate::dead_letter::DeadLetters;

use meters::Meters;

pub use housekeeping::{RETENTION, housekeeping};
pub use server::Consumer;
pub(crate) use server::is_event_id;

/// The metadata that says which consumer a call is for, where several share a listener.
pub const CONSUMER: &str = "trellis-consumer";

/// The most deliveries in one call.
pub const MAX_DELIVERIES: usize = 256;

/// Says which consumer a call is for.
pub fn address<T>(request: &mut Request<T>, consumer: &'static str) {
    request.metadata_mut().insert(CONSUMER, MetadataValue::from_static(consumer));
}

/// Applies events.
#[async_trait::async_trait]
pub trait Handler: Send + Sync {
    /// Applies the effect and admits the event to the inbox in one write.
    ///
    /// `Ok` too when it was applied before or is of no interest. It is called
    /// for many events at once, and dropped when it takes longer than 4 s. A
    /// panic is a transient failure.
    async fn handle(&self, event: &Event) -> Result<(), Failure>;
}

/// Why an event was not applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It never can be: it becomes a dead letter at once.
    #[error("{0}")]
    Permanent(String),
    /// It may be another time; after [`crate::MAX_ATTEMPTS`] it becomes a dead letter.
    #[error("{0}")]
    Transient(String),
    /// The consumer cannot apply any event, as its database is away: this was no attempt.
    #[error("{0}")]
    Away(String),
}

impl From<trellis_storage::Error> for Failure {
    /// What an event can do itself, such as to wait for a lock for too long, is an attempt:
    /// else it would be tried for ever.
    fn from(error: trellis_storage::Error) -> Self {
        use trellis_storage::Error;

        let text = chain(&error);
        match error {
            Error::Full(_)
            | Error::ReadOnly(_)
            | Error::Io(_)
            | Error::Overloaded
            | Error::Closed
            | Error::Lost(_) => Self::Away(text),
            _ => Self::Transient(text),
        }
    }
}

impl From<prost::DecodeError> for Failure {
    fn from(error: prost::DecodeError) -> Self {
        Self::Permanent(chain(&error))
    }
}

/// Says an error with its causes: a dead letter's text is all that an operator sees.
pub(crate) fn chain(error: &dyn Error) -> String {
    let causes = iter::successors(error.source(), |&cause| cause.source());
    iter::once(error).chain(causes).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Makes the service that hands events to `handler`; `consumer` names its dead letters
/// and what it counts, which it does by `kinds`, those that it asks for.
pub fn server(
    consumer: &'static str,
    kinds: &'static [&'static str],
    handler: Arc<dyn Handler>,
    dead_letters: Arc<dyn DeadLetters>,
    clock: Arc<dyn Clock>,
    metrics: &Metrics,
) -> ConsumerServiceServer<Consumer> {
    let meters = Meters::new(consumer, kinds, metrics);
    let consumer = Consumer::new(consumer, handler, dead_letters, clock, meters);
    ConsumerServiceServer::new(consumer).bounded()
}
