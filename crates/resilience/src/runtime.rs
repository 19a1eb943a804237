//! What the asynchronous half takes from tokio.

use std::sync::Arc;

use tokio::time::Instant;

use crate::core::clock::{Clock, Time, nanos};
use crate::core::environment::Environment;

/// Tokio's clock, which its tests can pause and move. The default of everything that
/// waits, so that timers and decisions agree about the time.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    origin: Instant,
}

impl TokioClock {
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for TokioClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Time {
        Time::from_nanos(nanos(self.origin.elapsed()))
    }
}

impl Environment {
    /// Tokio's clock instead of the processor's: for everything that waits.
    pub fn tokio() -> Self {
        Self { clock: Arc::new(TokioClock::new()), ..Self::default() }
    }
}
