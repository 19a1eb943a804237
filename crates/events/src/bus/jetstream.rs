//! A bus over NATS JetStream.
//!
//! Publishers write into one stream, from which each consumer reads at its own pace, so
//! that a publisher need not know who listens. The stream may forget: it is written to the
//! disk some time after it was acknowledged. So the outbox stays the truth, keeps where in
//! the stream its events are, and fills the stream again; see [`super::Archive`].
//!
//! What is asked of the server is what version 2.9 can do.

mod connection;
mod consume;
mod message;
mod meters;
mod publisher;
mod stream;
mod subject;
mod url;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use trellis_chassis::Shutdown;
use trellis_telemetry::Metrics;

use super::Subscriber;
use crate::{Backoff, relay};
use connection::Connection;

pub use publisher::Publisher;
pub use url::{NatsUrl, NatsUrlError};

/// How JetStream is reached, and how careful and how patient it is.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it is.
    pub url: NatsUrl,
    /// On how many servers the stream is kept, 1 to 5; 3 survive the loss of one.
    pub replicas: usize,
    /// How long an event that a process was handed stays with it without a sign of life.
    /// There is one in each third of it.
    pub ack_wait: Duration,
    /// The waits after a consumer failed to apply an event.
    pub after_refusal: Backoff,
}

impl Options {
    /// One replica, 30 s, and the waits of a relay.
    pub fn new(url: NatsUrl) -> Self {
        let (ack_wait, after_refusal) = (Duration::from_secs(30), relay::AFTER_REFUSAL);
        Self { url, replicas: 1, ack_wait, after_refusal }
    }
}

/// What is in the stream at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Names this life of the stream, as receipts do.
    pub stream: Arc<str>,
    /// How many events, of all services.
    pub count: u64,
    /// The place of the oldest.
    pub first: u64,
    /// The highest place that was ever given in this life.
    pub last: u64,
}

/// A connection to JetStream, made when it is needed and then kept up for ever. Clones are
/// one.
#[derive(Clone)]
pub struct JetStream {
    connection: Arc<Connection>,
    metrics: Metrics,
}

impl JetStream {
    /// Connects nobody yet.
    pub fn new(options: Options, metrics: &Metrics) -> Self {
        Self { connection: Arc::new(Connection::new(options)), metrics: metrics.clone() }
    }

    /// The bus of the service `service`, which is a word.
    pub fn publisher(&self, service: &'static str) -> Publisher {
        Publisher::new(Arc::clone(&self.connection), service, &self.metrics)
    }

    /// Looks at the stream, and makes none; an error says why it cannot be looked at.
    /// Waits at most 5 s for a connection.
    pub async fn look(&self) -> Result<Option<Contents>, String> {
        self.connection.contents().await
    }

    /// Hands a consumer what it wants to hear, until a stop is requested; what is in hand
    /// then is finished. A server that is away is waited for.
    ///
    /// Several processes may do this for one consumer, and share its events.
    pub async fn consume(self, subscriber: Subscriber, shutdown: Shutdown) -> anyhow::Result<()> {
        consume::run(&self.connection, subscriber, &self.metrics, &shutdown).await;
        Ok(())
    }
}

impl fmt::Debug for JetStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStream").field("connection", &self.connection).finish_non_exhaustive()
    }
}
