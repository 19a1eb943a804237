//! Which traces are sampled.

use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanKind, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use opentelemetry_sdk::trace::{
    IdGenerator as _, RandomIdGenerator, Sampler, SamplingDecision, ShouldSample as _,
};

use crate::context::Place;

/// What becomes of a span that is about to begin.
#[derive(Debug)]
pub(crate) struct Decision {
    /// Where in a trace it is.
    pub place: Place,
    /// Whether it is exported.
    pub is_recorded: bool,
}

/// Decides; `sampler` is `None` where nothing is exported.
///
/// Names and attributes of spans are not known yet; no sampler that can be set looks at
/// them.
pub(super) fn decide(sampler: Option<&Sampler>, parent: Option<&Place>) -> Decision {
    let ids = RandomIdGenerator::default();
    let trace = parent.map_or_else(|| ids.new_trace_id(), |parent| parent.trace_id());
    let (is_recorded, state) = match (sampler, parent) {
        // Who samples it finds no gap where this process was.
        (None, Some(parent)) => {
            return Decision { place: Arc::clone(parent), is_recorded: false };
        }
        (None, None) => (false, TraceState::NONE),
        (Some(Sampler::ParentBased(_)), Some(parent)) => {
            (parent.is_sampled(), parent.trace_state().clone())
        }
        (Some(sampler), parent) => ask(sampler, trace, parent),
    };
    let flags = if is_recorded { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    let place = SpanContext::new(trace, ids.new_span_id(), flags, false, state);
    Decision { place: Arc::new(place), is_recorded }
}

fn ask(sampler: &Sampler, trace: TraceId, parent: Option<&Place>) -> (bool, TraceState) {
    let parent =
        parent.map(|parent| Context::new().with_remote_span_context(SpanContext::clone(parent)));
    let result = sampler.should_sample(parent.as_ref(), trace, "", &SpanKind::Server, &[], &[]);
    (result.decision == SamplingDecision::RecordAndSample, result.trace_state)
}
