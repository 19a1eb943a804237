//! What is counted about a target, whichever operation was called.

use crate::observe::{Counter, Gauge, Metrics};

#[derive(Debug)]
pub(in crate::exec) struct TargetMeters {
    rejections: [Counter; Stage::ALL.len()],
    suppressed: [Counter; Suppression::ALL.len()],
    pub(in crate::exec) tokens: Gauge,
    pub(in crate::exec) throttle: Gauge,
    pub(in crate::exec) in_flight: Gauge,
    /// Of the limiter, if there is one.
    pub(in crate::exec) limit: Gauge,
}

/// Who rejected a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::exec) enum Stage {
    Deadline,
    Throttle,
    Bulkhead,
    Limiter,
    Breaker,
    Chaos,
}

/// Why a retry was not made that would have been allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::exec) enum Suppression {
    Budget,
    Deadline,
    Pushback,
    NotIdempotent,
    Breaker,
    Throttle,
    /// A hop above is retrying already.
    Hops,
}

impl TargetMeters {
    pub(super) fn new(metrics: &dyn Metrics, target: &str, has_limiter: bool) -> Self {
        let labels = [("target", target.to_owned())];
        let with = |name, key, value: &str| {
            metrics.counter(name, &[("target", target.to_owned()), (key, value.to_owned())])
        };
        let gauge = |name| metrics.gauge(name, &labels);
        Self {
            rejections: Stage::ALL.map(|stage| match stage {
                // The breaker counts whom it refuses.
                Stage::Breaker => Counter::default(),
                _ => with("resilience_rejections_total", "stage", stage.as_str()),
            }),
            suppressed: Suppression::ALL
                .map(|cause| with("resilience_retries_suppressed_total", "cause", cause.as_str())),
            tokens: gauge("resilience_retry_budget_tokens"),
            throttle: gauge("resilience_throttle_probability"),
            in_flight: gauge("resilience_target_inflight"),
            limit: if has_limiter { gauge("resilience_target_limit") } else { Gauge::default() },
        }
    }

    pub(in crate::exec) fn rejected(&self, stage: Stage) {
        self.rejections[stage as usize].increment();
    }

    pub(in crate::exec) fn suppressed(&self, cause: Suppression) {
        self.suppressed[cause as usize].increment();
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

    pub(in crate::exec) const fn as_str(self) -> &'static str {
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
