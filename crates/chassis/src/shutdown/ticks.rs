//! The rhythm of what is done again and again.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use super::Shutdown;

/// Says when it is time, until a stop is requested; see [`Shutdown::ticks`].
#[derive(Debug)]
pub struct Ticks {
    interval: Interval,
    shutdown: Shutdown,
}

impl Shutdown {
    /// Ticks at once, and then whenever `every` has passed, which must not be zero. What
    /// takes longer than that delays the ticks after it.
    pub fn ticks(&self, every: Duration) -> Ticks {
        let mut interval = interval(every);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ticks { interval, shutdown: self.clone() }
    }
}

impl Ticks {
    /// Waits for the next tick. `false`: a stop is requested, so there is none.
    pub async fn next(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.shutdown.requested() => false,
            _ = self.interval.tick() => true,
        }
    }
}
