//! What a consumer counts of the events that come to it.

use std::time::Duration;

use time::OffsetDateTime;
use trellis_api::timestamp;
use trellis_telemetry::Metrics;
use trellis_telemetry::attributes::{
    ERROR_TYPE, MESSAGING_CONSUMER_GROUP_NAME, MESSAGING_DESTINATION_NAME,
};
use trellis_telemetry::metrics::{Definition, Gauge, Histogram, OTHER, Unit};

use crate::Event;

const PROCESS: Definition<Histogram, 3> = Histogram::seconds(
    "messaging.process.duration",
    "How long attempts to apply an event took.",
    [MESSAGING_CONSUMER_GROUP_NAME, MESSAGING_DESTINATION_NAME, ERROR_TYPE],
);
/// Events wait for minutes and hours where something is down.
const DELAY: Definition<Histogram, 1> = Histogram::define(
    "trellis.event.delay",
    Unit::SECONDS,
    "How long after it happened an event was applied.",
    &[
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0,
        3600.0,
    ],
    [MESSAGING_CONSUMER_GROUP_NAME],
);
const DEAD_LETTERS: Definition<Gauge, 1> = Gauge::define(
    "trellis.dead_letters",
    Unit::of("{event}"),
    "Events that the consumer has given up on.",
    [MESSAGING_CONSUMER_GROUP_NAME],
);

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Applied,
    /// It stays with its sender.
    Refused,
    DeadLetter,
}

#[derive(Debug)]
pub(super) struct Meters {
    kinds: Vec<(&'static str, Attempts)>,
    /// Of kinds that the consumer did not ask for.
    others: Attempts,
    delay: Histogram,
}

#[derive(Debug)]
struct Attempts {
    applied: Histogram,
    refused: Histogram,
    dead_letter: Histogram,
}

impl Meters {
    pub(super) fn new(
        consumer: &'static str,
        kinds: &'static [&'static str],
        metrics: &Metrics,
    ) -> Self {
        let attempts = |kind| {
            let histogram = |error| metrics.get(&PROCESS, [consumer, kind, error]);
            Attempts {
                applied: histogram(""),
                refused: histogram("refused"),
                dead_letter: histogram("dead_letter"),
            }
        };
        Self {
            kinds: kinds.iter().map(|&kind| (kind, attempts(kind))).collect(),
            others: attempts(OTHER),
            delay: metrics.get(&DELAY, [consumer]),
        }
    }

    /// Counts an attempt; what was applied also by how late that was.
    pub(super) fn count(&self, kind: &str, end: End, took: Duration) {
        let known = self.kinds.iter().find(|(known, _)| *known == kind);
        let attempts = known.map_or(&self.others, |(_, attempts)| attempts);
        match end {
            End::Applied => &attempts.applied,
            End::Refused => &attempts.refused,
            End::DeadLetter => &attempts.dead_letter,
        }
        .record_duration(took);
    }

    pub(super) fn applied(&self, event: &Event, now: OffsetDateTime) {
        let happened = event.create_time.as_ref().and_then(timestamp::from_proto);
        if let Some(happened) = happened {
            // The sender's clock may be ahead.
            self.delay.record_duration(Duration::try_from(now - happened).unwrap_or_default());
        }
    }
}

pub(super) fn dead_letters(consumer: &'static str, metrics: &Metrics) -> Gauge {
    metrics.get(&DEAD_LETTERS, [consumer])
}
