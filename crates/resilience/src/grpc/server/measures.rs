//! The numbers of one server, with all handles made beforehand.

use std::time::Duration;

use crate::core::queue::Cause;
use crate::observe::{Counter, Gauge, Histogram, Label, Metrics};
use crate::policy::Criticality;

/// Why a call was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shed {
    Waiting(Cause),
    /// Its caller is over its rate.
    Rate,
}

#[derive(Debug)]
pub(super) struct Measures {
    sheds: [[Counter; SHEDS.len()]; Criticality::ALL.len()],
    /// This and the next two only if there is a limit.
    limit: Gauge,
    inflight: Gauge,
    waiting: Gauge,
    sojourn: Histogram,
    remaining: Histogram,
}

const SHEDS: [Shed; 5] = [
    Shed::Waiting(Cause::Full),
    Shed::Waiting(Cause::Standing),
    Shed::Waiting(Cause::TooLong),
    Shed::Waiting(Cause::Expired),
    Shed::Rate,
];

impl Measures {
    pub(super) fn new(metrics: &dyn Metrics, server: &str, is_limited: bool) -> Self {
        let of_server: [Label; 1] = [("server", server.to_owned())];
        let shed = |class: &str, cause: &str| {
            let labels = [
                ("server", server.to_owned()),
                ("criticality", class.to_owned()),
                ("cause", cause.to_owned()),
            ];
            metrics.counter("resilience_sheds_total", &labels)
        };
        let gauge = |name| {
            if is_limited { metrics.gauge(name, &of_server) } else { Gauge::default() }
        };
        Self {
            sheds: Criticality::ALL
                .map(|class| SHEDS.map(|cause| shed(class.as_str(), cause.as_str()))),
            limit: gauge("resilience_limit"),
            inflight: gauge("resilience_inflight"),
            waiting: gauge("resilience_queue_depth"),
            sojourn: metrics.histogram("resilience_queue_sojourn_seconds", &of_server),
            remaining: metrics
                .histogram("resilience_deadline_remaining_at_arrival_seconds", &of_server),
        }
    }

    pub(super) fn shed(&self, criticality: Criticality, cause: Shed) {
        if let Some(cause) = SHEDS.iter().position(|known| *known == cause) {
            self.sheds[criticality as usize][cause].increment();
        }
    }

    pub(super) fn arrived(&self, remaining: Duration) {
        self.remaining.record(remaining.as_secs_f64());
    }

    /// One who had to wait goes on.
    pub(super) fn waited(&self, time: Duration) {
        self.sojourn.record(time.as_secs_f64());
    }

    pub(super) fn in_flight(&self, calls: usize, limit: usize) {
        self.inflight.set_count(calls);
        self.limit.set_count(limit);
    }

    pub(super) fn waiting(&self, calls: usize) {
        self.waiting.set_count(calls);
    }
}

impl Shed {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting(cause) => cause.as_str(),
            Self::Rate => "rate",
        }
    }
}
