//! How many endpoints are how, in numbers.

use std::sync::Arc;

use crate::core::environment::Environment;
use crate::net::outlier::Cause;
use crate::observe::{Counter, Gauge};

/// How the endpoints are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Census {
    pub(super) healthy: usize,
    pub(super) suspect: usize,
    pub(super) ejected: usize,
    /// Healthy, but not to be reached now.
    pub(super) unavailable: usize,
}

/// The handles of one balancer.
#[derive(Debug)]
pub(super) struct Meters {
    ejections: [(Cause, Counter); Cause::ALL.len()],
    panics: Counter,
    healthy: Gauge,
    suspect: Gauge,
    ejected: Gauge,
    unavailable: Gauge,
}

impl Meters {
    pub(super) fn new(target: &Arc<str>, environment: &Environment) -> Self {
        let target = || ("target", target.to_string());
        let metrics = &environment.metrics;
        let endpoints = |state: &str| {
            metrics.gauge("resilience_endpoints", &[target(), ("state", state.to_owned())])
        };
        Self {
            ejections: Cause::ALL.map(|cause| {
                let labels = [target(), ("cause", cause.as_str().to_owned())];
                (cause, metrics.counter("resilience_ejections_total", &labels))
            }),
            panics: metrics.counter("resilience_panic_mode_total", &[target()]),
            healthy: endpoints("healthy"),
            suspect: endpoints("suspect"),
            ejected: endpoints("ejected"),
            unavailable: endpoints("unavailable"),
        }
    }

    pub(super) fn count_panic(&self) {
        self.panics.increment();
    }

    /// `name` is that of a [`Cause`].
    pub(super) fn count_ejection(&self, name: &str) {
        for (cause, counter) in &self.ejections {
            if cause.as_str() == name {
                counter.increment();
            }
        }
    }

    pub(super) fn publish(&self, census: Census) {
        self.healthy.set_count(census.healthy);
        self.suspect.set_count(census.suspect);
        self.ejected.set_count(census.ejected);
        self.unavailable.set_count(census.unavailable);
    }
}
