//! The spans of a saga and of its steps.

use tracing::{Span, debug_span, info_span};
use trellis_telemetry::propagation;

use crate::saga::{Saga, Step};

/// One run of a saga: a part of the call that began it, which may end long before. One
/// that was taken over, or put off, is a trace of its own that refers to that call.
pub(super) fn run(saga: &Saga) -> Span {
    let is_first = saga.fence == 1 && saga.attempts == 0;
    // A span lasts as long as its children, and the call must not last as long as this.
    let span = info_span!(
        parent: None,
        "saga",
        otel.kind = "internal",
        otel.name = saga.kind.as_str(),
        "trellis.saga.origin" = if is_first { "begun" } else { "recovered" },
        "trellis.order.id" = %saga.order.order_id,
    );
    match &saga.trace {
        Some(begun) if is_first => propagation::set_parent(&span, begun),
        Some(begun) => propagation::link(&span, begun),
        None => {}
    }
    span
}

pub(super) fn step(step: Step) -> Span {
    debug_span!(
        "step",
        otel.name = step.as_str(),
        otel.status_code = tracing::field::Empty,
        "trellis.saga.step" = step.as_str(),
    )
}
