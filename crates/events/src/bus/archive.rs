//! What a bus keeps of what it has taken.

use std::sync::Arc;

/// A bus' memory, as far as a relay has to compare it with its outbox.
#[async_trait::async_trait]
pub trait Archive: Send + Sync {
    /// Changes whenever the bus may have forgotten something.
    fn epoch(&self) -> u64;

    /// Looks at the stream; an error says why it cannot be looked at.
    async fn stream(&self) -> Result<Stream, String>;

    /// Whether the event is at this place of the stream.
    async fn holds(&self, sequence: u64, event_id: &str) -> Result<bool, String>;
}

/// A stream at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The epoch of the look.
    pub epoch: u64,
    /// Names this life of the stream, as receipts do.
    pub name: Arc<str>,
    /// The place of the oldest event that it means to keep; what was before is too old.
    pub first: u64,
}
