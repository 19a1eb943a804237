//! What waits in an outbox, for whoever reads the metrics.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::{Instant, sleep};
use trellis_chassis::Clock;
use trellis_storage::Error;
use trellis_telemetry::Metrics;
use trellis_telemetry::metrics::{Definition, Gauge, Unit};

use crate::outbox::Outbox;

const DEPTH: Definition<Gauge, 1> = Gauge::define(
    "trellis.outbox.depth",
    Unit::of("{event}"),
    "Events that are not published yet.",
    ["outbox"],
);
const OLDEST_AGE: Definition<Gauge, 1> = Gauge::define(
    "trellis.outbox.oldest_age",
    Unit::SECONDS,
    "How long ago the oldest event that is not published yet happened; 0 if there is none.",
    ["outbox"],
);

/// How often the outbox is looked at.
const INTERVAL: Duration = Duration::from_secs(2);
/// Looking reads all that waits. It takes at most one part in so many of the time.
const SHARE: u32 = 20;

/// Shows how much waits in an outbox, and since when.
///
/// The age is that of the moment in which the metrics are read, and goes on growing
/// while the outbox cannot be looked at.
pub struct BacklogGauge {
    outbox: Arc<dyn Outbox>,
    depth: Gauge,
    seen: Arc<Seen>,
}

struct Seen {
    oldest: Mutex<Option<OffsetDateTime>>,
    clock: Arc<dyn Clock>,
}

impl BacklogGauge {
    /// `name` is the service whose outbox it is. Both figures are 0 before the first
    /// look.
    pub fn new(
        name: &'static str,
        outbox: Arc<dyn Outbox>,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
    ) -> Self {
        let seen = Arc::new(Seen { oldest: Mutex::new(None), clock });
        let (age, weak) = (metrics.get(&OLDEST_AGE, [name]), Arc::downgrade(&seen));
        metrics.before_reading(move || {
            if let Some(seen) = Weak::upgrade(&weak) {
                age.set(seen.age().as_secs_f64());
            }
        });
        Self { outbox, depth: metrics.get(&DEPTH, [name]), seen }
    }

    /// Looks at the outbox once. What was seen before stays if that fails.
    pub async fn look(&self) -> Result<(), Error> {
        let backlog = self.outbox.backlog().await?;
        self.depth.set_count(backlog.count);
        *self.seen.oldest.lock().unwrap_or_else(PoisonError::into_inner) = backlog.oldest;
        Ok(())
    }

    /// Looks at it every 2 s, and more seldom where that takes long.
    pub(super) async fn run(&self) -> Infallible {
        loop {
            let began = Instant::now();
            if let Err(error) = self.look().await {
                // The relay says in the log that its outbox fails.
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, "outbox was not looked at");
            }
            sleep(INTERVAL.max(began.elapsed() * SHARE)).await;
        }
    }
}

impl Seen {
    fn age(&self) -> Duration {
        let oldest = *self.oldest.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock may have been put back.
        let age = oldest.map(|oldest| Duration::try_from(self.clock.now() - oldest));
        age.and_then(Result::ok).unwrap_or_default()
    }
}

impl std::fmt::Debug for BacklogGauge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BacklogGauge").finish_non_exhaustive()
    }
}
