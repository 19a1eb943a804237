//! What everything here takes from the world.

use std::sync::Arc;

use super::clock::{Clock, Monotonic};
use super::random::Random;
use crate::observe::{Listener, Metrics, NoListener, NoMetrics};

/// Time, chance, and who wants to know. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Environment {
    /// What time it is. What also waits, such as clients, needs that of tokio:
    /// [`TokioClock`](crate::TokioClock).
    pub clock: Arc<dyn Clock>,
    /// Where chance comes from; with a seed, tests can repeat it.
    pub random: Arc<Random>,
    /// Hears of each event. Default: nobody.
    pub listener: Arc<dyn Listener>,
    /// Takes what is counted. Default: [`NoMetrics`].
    pub metrics: Arc<dyn Metrics>,
}

impl Default for Environment {
    /// The processor's clock, chance that nobody can repeat, and nobody who listens.
    fn default() -> Self {
        Self {
            clock: Arc::new(Monotonic::new()),
            random: Arc::new(Random::from_entropy()),
            listener: Arc::new(NoListener),
            metrics: Arc::new(NoMetrics),
        }
    }
}
