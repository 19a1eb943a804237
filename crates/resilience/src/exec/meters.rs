//! What is counted about an executor, operation by operation.

use std::sync::OnceLock;

use crate::core::latency::Latency;
use crate::observe::{Counter, Histogram, Metrics};
use crate::policy::MAX_ATTEMPTS;

/// Operations that are told apart; the rest are counted as `other`.
const MAX_OPERATIONS: usize = 64;

/// The meters of the operations that were seen.
///
/// Slots are filled from the front and never emptied, so that finding one takes no lock
/// and gives a plain reference.
#[derive(Debug)]
pub(super) struct Meters {
    slots: [OnceLock<Box<OperationMeters>>; MAX_OPERATIONS],
    other: OnceLock<Box<OperationMeters>>,
}

#[derive(Debug)]
pub(super) struct OperationMeters {
    name: &'static str,
    /// Of attempts that were answered or cut off.
    pub(super) latency: Latency,
    calls: [Counter; End::ALL.len()],
    attempts: [Counter; MAX_ATTEMPTS as usize],
    rejections: [Counter; Stage::ALL.len()],
    suppressed: [Counter; Suppression::ALL.len()],
    pub(super) call_seconds: Histogram,
    pub(super) attempt_seconds: Histogram,
    pub(super) attempts_per_call: Histogram,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Ok,
    Failed,
    Unknown,
    DeadlineExceeded,
    Rejected,
    /// Its future was dropped, or the closure panicked.
    Abandoned,
}

/// Who rejected a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Deadline,
    Throttle,
    Bulkhead,
    Limiter,
    Breaker,
    Chaos,
}

/// Why a retry was not made that would have been allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suppression {
    Budget,
    Deadline,
    Pushback,
    NotIdempotent,
    Breaker,
    Throttle,
    /// A hop above is retrying already.
    Hops,
}

impl Meters {
    pub(super) fn new() -> Self {
        Self { slots: [const { OnceLock::new() }; MAX_OPERATIONS], other: OnceLock::new() }
    }

    pub(super) fn of(
        &self,
        name: &'static str,
        metrics: &dyn Metrics,
        target: &str,
    ) -> &OperationMeters {
        let new = |name| move || Box::new(OperationMeters::new(metrics, target, name));
        for slot in &self.slots {
            let meters = slot.get_or_init(new(name));
            if meters.name == name {
                return meters;
            }
        }
        self.other.get_or_init(new("other"))
    }

    /// Those that have a slot, in the order in which they came.
    pub(super) fn seen(&self) -> impl Iterator<Item = &OperationMeters> {
        self.slots.iter().map_while(OnceLock::get).map(Box::as_ref)
    }
}

impl OperationMeters {
    fn new(metrics: &dyn Metrics, target: &str, method: &'static str) -> Self {
        let labels = [("target", target.to_owned()), ("method", method.to_owned())];
        let counter = |name, more: &[(&'static str, &str)]| {
            let more = more.iter().map(|(name, text)| (*name, (*text).to_owned()));
            metrics.counter(name, &labels.iter().cloned().chain(more).collect::<Vec<_>>())
        };
        let histogram = |name| metrics.histogram(name, &labels);
        Self {
            name: method,
            latency: Latency::default(),
            calls: End::ALL.map(|end| {
                let labels = [("code", end.as_str()), ("origin", end.origin())];
                counter("resilience_calls_total", &labels)
            }),
            attempts: std::array::from_fn(|index| {
                let reason = if index == 0 { "first" } else { "retry" };
                let number = (index + 1).to_string();
                counter("resilience_attempts_total", &[("n", &number), ("reason", reason)])
            }),
            rejections: Stage::ALL
                .map(|stage| counter("resilience_rejections_total", &[("stage", stage.as_str())])),
            suppressed: Suppression::ALL.map(|cause| {
                counter("resilience_retries_suppressed_total", &[("cause", cause.as_str())])
            }),
            call_seconds: histogram("resilience_call_seconds"),
            attempt_seconds: histogram("resilience_attempt_seconds"),
            attempts_per_call: histogram("resilience_attempts_per_call"),
        }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn ended(&self, end: End) {
        self.calls[end as usize].increment();
    }

    /// `number` counts from one.
    pub(super) fn attempted(&self, number: u32) {
        let index = (number.clamp(1, MAX_ATTEMPTS) - 1) as usize;
        self.attempts[index].increment();
    }

    pub(super) fn rejected(&self, stage: Stage) {
        self.rejections[stage as usize].increment();
    }

    pub(super) fn suppressed(&self, cause: Suppression) {
        self.suppressed[cause as usize].increment();
    }
}

impl End {
    const ALL: [Self; 6] = [
        Self::Ok,
        Self::Failed,
        Self::Unknown,
        Self::DeadlineExceeded,
        Self::Rejected,
        Self::Abandoned,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Rejected => "rejected",
            Self::Abandoned => "abandoned",
        }
    }

    const fn origin(self) -> &'static str {
        match self {
            Self::Ok | Self::Failed => "remote",
            Self::Unknown | Self::DeadlineExceeded | Self::Rejected | Self::Abandoned => "local",
        }
    }
}

impl Stage {
    const ALL: [Self; 6] =
        [Self::Deadline, Self::Throttle, Self::Bulkhead, Self::Limiter, Self::Breaker, Self::Chaos];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Throttle => "throttle",
            Self::Bulkhead => "bulkhead",
            Self::Limiter => "limiter",
            Self::Breaker => "breaker",
            Self::Chaos => "chaos",
        }
    }
}

impl Suppression {
    const ALL: [Self; 7] = [
        Self::Budget,
        Self::Deadline,
        Self::Pushback,
        Self::NotIdempotent,
        Self::Breaker,
        Self::Throttle,
        Self::Hops,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Deadline => "deadline",
            Self::Pushback => "pushback",
            Self::NotIdempotent => "not_idempotent",
            Self::Breaker => "breaker",
            Self::Throttle => "throttle",
            Self::Hops => "hops",
        }
    }
}
