//! What becomes of deliveries, counted.

use trellis_telemetry::Metrics;
use trellis_telemetry::metrics::{Counter, Definition, Unit};

use crate::bus::Outcome;

const DELIVERIES: Definition<Counter, 2> = Counter::define(
    "trellis.outbox.deliveries",
    Unit::of("{delivery}"),
    "Events that were handed to the bus, each time, by what became of it.",
    ["outbox", "outcome"],
);

#[derive(Debug)]
pub(super) struct Meters {
    delivered: Counter,
    refused: Counter,
    unreachable: Counter,
}

impl Meters {
    pub(super) fn new(name: &'static str, metrics: &Metrics) -> Self {
        let counter = |outcome| metrics.get(&DELIVERIES, [name, outcome]);
        Self {
            delivered: counter("delivered"),
            refused: counter("refused"),
            unreachable: counter("unreachable"),
        }
    }

    pub(super) fn count(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Delivered(_) => &self.delivered,
            Outcome::Refused(_) => &self.refused,
            Outcome::Unreachable(_) => &self.unreachable,
        }
        .increment();
    }
}
