//! What everything here takes from the world.

use std::sync::Arc;

use super::clock::{Clock, Monotonic};
use super::random::Random;
use crate::observe::{Listener, Metrics, NoListener, NoMetrics};

/// Time, chance, and who wants to know. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Environment {
    pub clock: Arc<dyn Clock>,
    pub random: Arc<Random>,
    pub listener: Arc<dyn Listener>,
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
