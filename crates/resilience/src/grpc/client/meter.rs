//! The numbers that a client tells.
//!
//! What a usual call counts with is made when the client is built; what depends on a
//! code or on the number of an attempt, when it is first needed.

use std::sync::{Arc, OnceLock};

use tonic::Code;

use super::retry::Cause;
use crate::grpc::code;
use crate::observe::{Counter, Gauge, Histogram, Label, Metrics};
use crate::policy::MAX_ATTEMPTS;

/// Of a target.
#[derive(Debug)]
pub(super) struct TargetMeter {
    rejections: [Counter; Stage::ALL.len()],
    suppressed: [Counter; Cause::ALL.len()],
    hedges_won: Counter,
    hedges_lost: Counter,
    pub(super) tokens: Gauge,
    pub(super) throttle: Gauge,
    pub(super) in_flight: Gauge,
}

/// Of a method of a target.
#[derive(Debug)]
pub(super) struct MethodMeter {
    metrics: Arc<dyn Metrics>,
    target: Arc<str>,
    method: &'static str,
    calls: [[OnceLock<Counter>; code::NAMES.len()]; 2],
    attempts: [[OnceLock<Counter>; Why::ALL.len()]; MAX_ATTEMPTS as usize],
    /// In seconds, as all of them.
    pub(super) call: Histogram,
    pub(super) attempt: Histogram,
    pub(super) remaining: Histogram,
    pub(super) attempts_per_call: Histogram,
}

/// Where a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Deadline,
    Throttle,
    Bulkhead,
    Breaker,
    Endpoints,
}

/// Why an attempt is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    First,
    Retry,
    /// The one before was provably not sent.
    Transparent,
    Hedge,
}

/// Who said how a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Remote,
    Local,
}

impl TargetMeter {
    pub(super) fn new(metrics: &dyn Metrics, target: &str) -> Self {
        let labels = [("target", target.to_owned())];
        let with = |name, key, value: &str| {
            metrics.counter(name, &[("target", target.to_owned()), (key, value.to_owned())])
        };
        let rejected = |stage: Stage| match stage {
            // The breaker counts whom it refuses.
            Stage::Breaker => Counter::default(),
            _ => with("resilience_rejections_total", "stage", stage.name()),
        };
        let suppressed =
            |cause: Cause| with("resilience_retries_suppressed_total", "cause", cause.name());
        let hedges = |won| with("resilience_hedges_total", "won", won);
        Self {
            rejections: Stage::ALL.map(rejected),
            suppressed: Cause::ALL.map(suppressed),
            hedges_won: hedges("true"),
            hedges_lost: hedges("false"),
            tokens: metrics.gauge("resilience_retry_budget_tokens", &labels),
            throttle: metrics.gauge("resilience_throttle_probability", &labels),
            in_flight: metrics.gauge("resilience_target_inflight", &labels),
        }
    }

    pub(super) fn rejected(&self, stage: Stage) {
        self.rejections[stage as usize].increment();
    }

    pub(super) fn suppressed(&self, cause: Cause) {
        self.suppressed[cause as usize].increment();
    }

    pub(super) fn hedged(&self, won: bool) {
        if won { &self.hedges_won } else { &self.hedges_lost }.increment();
    }
}

impl MethodMeter {
    pub(super) fn new(metrics: &Arc<dyn Metrics>, target: &Arc<str>, method: &'static str) -> Self {
        let labels = [("target", target.to_string()), ("method", method.to_owned())];
        let histogram = |name| metrics.histogram(name, &labels);
        Self {
            metrics: Arc::clone(metrics),
            target: Arc::clone(target),
            method,
            calls: [const { [const { OnceLock::new() }; code::NAMES.len()] }; 2],
            attempts: [const { [const { OnceLock::new() }; Why::ALL.len()] };
                MAX_ATTEMPTS as usize],
            call: histogram("resilience_call_seconds"),
            attempt: histogram("resilience_attempt_seconds"),
            remaining: histogram("resilience_deadline_remaining_at_finish_seconds"),
            attempts_per_call: histogram("resilience_attempts_per_call"),
        }
    }

    pub(super) fn called(&self, code: Code, origin: Origin) {
        let counter = &self.calls[origin as usize][code as usize % code::NAMES.len()];
        let more = || [("code", code::name(code)), ("origin", origin.name())];
        self.count(counter, "resilience_calls_total", more);
    }

    /// `number` counts from zero.
    pub(super) fn attempted(&self, number: u32, why: Why) {
        let number = number.min(MAX_ATTEMPTS - 1);
        let counter = &self.attempts[number as usize][why as usize];
        let more = || [("n", number_name(number)), ("reason", why.name())];
        self.count(counter, "resilience_attempts_total", more);
    }

    fn count(
        &self,
        counter: &OnceLock<Counter>,
        name: &'static str,
        more: impl FnOnce() -> [(&'static str, &'static str); 2],
    ) {
        let make = || {
            let more = more().map(|(key, value)| (key, value.to_owned()));
            let mut labels: Vec<Label> =
                vec![("target", self.target.to_string()), ("method", self.method.to_owned())];
            labels.extend(more);
            self.metrics.counter(name, &labels)
        };
        counter.get_or_init(make).increment();
    }
}

impl Stage {
    const ALL: [Self; 5] =
        [Self::Deadline, Self::Throttle, Self::Bulkhead, Self::Breaker, Self::Endpoints];

    const fn name(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Throttle => "throttle",
            Self::Bulkhead => "bulkhead",
            Self::Breaker => "breaker",
            Self::Endpoints => "endpoints",
        }
    }
}

impl Why {
    const ALL: [Self; 4] = [Self::First, Self::Retry, Self::Transparent, Self::Hedge];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Retry => "retry",
            Self::Transparent => "transparent",
            Self::Hedge => "hedge",
        }
    }
}

impl Origin {
    const fn name(self) -> &'static str {
        match self {
            Self::Remote => "remote",
            Self::Local => "local",
        }
    }
}

/// Counted from one, as people do.
const fn number_name(number: u32) -> &'static str {
    match number {
        0 => "1",
        1 => "2",
        2 => "3",
        3 => "4",
        _ => "5",
    }
}
