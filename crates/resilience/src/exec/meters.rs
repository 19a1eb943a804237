//! What is counted about an executor, operation by operation.

mod target;

use std::sync::OnceLock;

use crate::core::latency::Latency;
use crate::observe::{Counter, Histogram, Metrics};
use crate::policy::MAX_ATTEMPTS;

pub(super) use self::target::{Stage, Suppression, TargetMeters};

/// Operations that are told apart; the rest are counted as `other`.
const MAX_OPERATIONS: usize = 64;

/// The meters of the operations that were seen.
///
/// Slots are filled from the front and never emptied, so that finding one takes no lock
/// and gives a plain reference.
#[derive(Debug)]
pub(super) struct Meters {
    pub(super) target: TargetMeters,
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
    pub(super) call_seconds: Histogram,
    pub(super) attempt_seconds: Histogram,
    pub(super) remaining: Histogram,
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

impl Meters {
    pub(super) fn new(metrics: &dyn Metrics, target: &str, has_limiter: bool) -> Self {
        Self {
            target: TargetMeters::new(metrics, target, has_limiter),
            slots: [const { OnceLock::new() }; MAX_OPERATIONS],
            other: OnceLock::new(),
        }
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
            call_seconds: histogram("resilience_call_seconds"),
            attempt_seconds: histogram("resilience_attempt_seconds"),
            remaining: histogram("resilience_deadline_remaining_at_finish_seconds"),
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
