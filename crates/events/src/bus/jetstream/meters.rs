//! What publishers and consumers count of JetStream.

use std::time::Duration;

use trellis_telemetry::Metrics;
use trellis_telemetry::attributes::{
    ERROR_TYPE, MESSAGING_CONSUMER_GROUP_NAME, MESSAGING_DESTINATION_NAME,
};
use trellis_telemetry::metrics::{Counter, Definition, Gauge, Histogram, Unit};

use crate::bus::Outcome;

const PUBLISH: Definition<Histogram, 2> = Histogram::seconds(
    "messaging.client.operation.duration",
    "How long it took until JetStream had acknowledged an event, or had not.",
    ["outbox", ERROR_TYPE],
);
const PENDING: Definition<Gauge, 2> = Gauge::define(
    "trellis.events.pending",
    Unit::of("{event}"),
    "Events in the stream that the consumer has yet to be handed.",
    [MESSAGING_CONSUMER_GROUP_NAME, MESSAGING_DESTINATION_NAME],
);
const UNACKNOWLEDGED: Definition<Gauge, 2> = Gauge::define(
    "trellis.events.unacknowledged",
    Unit::of("{event}"),
    "Events that the consumer was handed, and that it has not settled.",
    [MESSAGING_CONSUMER_GROUP_NAME, MESSAGING_DESTINATION_NAME],
);
const REDELIVERIES: Definition<Counter, 2> = Counter::define(
    "trellis.events.redeliveries",
    Unit::of("{event}"),
    "Events that the consumer was handed not for the first time.",
    [MESSAGING_CONSUMER_GROUP_NAME, MESSAGING_DESTINATION_NAME],
);
const UNREADABLE: Definition<Counter, 2> = Counter::define(
    "trellis.events.unreadable",
    Unit::of("{message}"),
    "Messages that are no events, and that were dropped.",
    [MESSAGING_CONSUMER_GROUP_NAME, MESSAGING_DESTINATION_NAME],
);

#[derive(Debug)]
pub(super) struct PublisherMeters {
    delivered: Histogram,
    unreachable: Histogram,
}

impl PublisherMeters {
    pub(super) fn new(service: &'static str, metrics: &Metrics) -> Self {
        let histogram = |error| metrics.get(&PUBLISH, [service, error]);
        Self { delivered: histogram(""), unreachable: histogram("unreachable") }
    }

    pub(super) fn count(&self, outcome: &Outcome, took: Duration) {
        match outcome {
            Outcome::Delivered(_) => &self.delivered,
            Outcome::Refused(_) | Outcome::Unreachable(_) => &self.unreachable,
        }
        .record_duration(took);
    }
}

#[derive(Debug)]
pub(super) struct ConsumerMeters {
    pub(super) pending: Gauge,
    pub(super) unacknowledged: Gauge,
    pub(super) redeliveries: Counter,
    pub(super) unreadable: Counter,
}

impl ConsumerMeters {
    pub(super) fn new(consumer: &'static str, kind: &'static str, metrics: &Metrics) -> Self {
        let labels = [consumer, kind];
        Self {
            pending: metrics.get(&PENDING, labels),
            unacknowledged: metrics.get(&UNACKNOWLEDGED, labels),
            redeliveries: metrics.get(&REDELIVERIES, labels),
            unreadable: metrics.get(&UNREADABLE, labels),
        }
    }
}
