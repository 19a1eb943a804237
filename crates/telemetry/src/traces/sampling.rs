//! Which traces are sampled, known before there is any span.

use std::cell::Cell;

use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use opentelemetry_sdk::trace::{
    IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, ShouldSample as _,
};
use tracing::Span;

use crate::context;

thread_local! {
    /// The id of the trace that this thread is about to begin, if it is settled.
    static SETTLED: Cell<Option<TraceId>> = const { Cell::new(None) };
}

/// What becomes of a call that comes in.
#[derive(Debug)]
pub(crate) enum Decision {
    /// It needs no span: these are its ids.
    Unsampled(SpanContext),
    /// It is a part of a trace that is sampled.
    Join,
    /// It is the first of a trace that is sampled, with this id.
    Begin(TraceId),
}

/// Decides as the SDK would; `sampler` is `None` where nothing is exported.
///
/// Names and attributes of spans are not known yet; no sampler that can be set looks at
/// them.
pub(super) fn decide(sampler: Option<&Sampler>, parent: Option<SpanContext>) -> Decision {
    let ids = RandomIdGenerator::default();
    let trace = parent.as_ref().map_or_else(|| ids.new_trace_id(), SpanContext::trace_id);
    let unsampled = |span: SpanId, state: TraceState| {
        let flags = TraceFlags::NOT_SAMPLED;
        Decision::Unsampled(SpanContext::new(trace, span, flags, false, state))
    };
    let Some(sampler) = sampler else {
        // Who samples it finds no gap where this process was.
        return match parent {
            Some(parent) => Decision::Unsampled(parent),
            None => unsampled(ids.new_span_id(), TraceState::NONE),
        };
    };
    let is_root = parent.is_none();
    let context = parent.map(|parent| Context::new().with_remote_span_context(parent));
    let result = sampler.should_sample(context.as_ref(), trace, "", &SpanKind::Server, &[], &[]);
    match result.decision {
        SamplingDecision::Drop => unsampled(ids.new_span_id(), result.trace_state),
        _ if is_root => Decision::Begin(trace),
        _ => Decision::Join,
    }
}

/// Begins the trace of this id with `span`, which has no parent.
pub(crate) fn begin(span: &Span, trace: TraceId) {
    SETTLED.set(Some(trace));
    // This starts it.
    let _ = context::of(span);
    SETTLED.set(None);
}

/// Gives the id that is settled, and else a random one.
#[derive(Debug, Default)]
pub(super) struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        SETTLED.take().unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}
