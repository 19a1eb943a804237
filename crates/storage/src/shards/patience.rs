//! How long a unit waits for a bucket that moves.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use trellis_resilience::context;

use crate::Error;

/// The longest. A bucket is frozen for less than half of it.
const MOST: Duration = Duration::from_secs(4);
/// What is left to a call for its work, as a part of its time.
const RESERVE: f64 = 0.2;
/// The wait doubles from the first to the last, and half of it is random.
const FIRST: Duration = Duration::from_millis(5);
const LAST: Duration = Duration::from_millis(80);

/// Of one unit.
pub(super) struct Patience {
    end: Instant,
    pause: Duration,
}

impl Patience {
    pub(super) fn begin() -> Self {
        let limit = context::remaining().map_or(MOST, |left| left.mul_f64(1.0 - RESERVE));
        Self { end: Instant::now() + limit.min(MOST), pause: FIRST }
    }

    /// Waits a little, or fails with `error` if that was long enough.
    pub(super) async fn wait(&mut self, error: Error) -> Result<(), Error> {
        if self.end <= Instant::now() {
            return Err(error);
        }
        sleep(self.pause.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
        self.pause = (self.pause * 2).min(LAST);
        Ok(())
    }
}
