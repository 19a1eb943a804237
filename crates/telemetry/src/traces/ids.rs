//! Traces that are not exported: ids for logs, answers and peers.

use std::borrow::Cow;
use std::time::SystemTime;

use opentelemetry::trace::{
    Span, SpanBuilder, SpanContext, Status, TraceContextExt as _, TraceFlags, TraceState,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};

/// Begins traces that are not sampled, and hands on those of others as they came:
/// who samples them finds no gap where this process was.
#[derive(Debug)]
pub(crate) struct Tracer;

/// A span that nothing is remembered of but its name in the trace.
#[derive(Debug)]
pub(crate) struct Named(SpanContext);

impl opentelemetry::trace::Tracer for Tracer {
    type Span = Named;

    fn build_with_context(&self, _: SpanBuilder, parent: &Context) -> Named {
        let parent = parent.span();
        let parent = parent.span_context();
        if parent.is_valid() {
            return Named(parent.clone());
        }
        let ids = RandomIdGenerator::default();
        let (trace, span) = (ids.new_trace_id(), ids.new_span_id());
        let flags = TraceFlags::NOT_SAMPLED;
        Named(SpanContext::new(trace, span, flags, false, TraceState::NONE))
    }
}

impl Span for Named {
    fn add_event_with_timestamp<T>(&mut self, _: T, _: SystemTime, _: Vec<KeyValue>)
    where
        T: Into<Cow<'static, str>>,
    {
    }

    fn span_context(&self) -> &SpanContext {
        &self.0
    }

    fn is_recording(&self) -> bool {
        false
    }

    fn set_attribute(&mut self, _: KeyValue) {}

    fn set_status(&mut self, _: Status) {}

    fn update_name<T>(&mut self, _: T)
    where
        T: Into<Cow<'static, str>>,
    {
    }

    fn add_link(&mut self, _: SpanContext, _: Vec<KeyValue>) {}

    fn end_with_timestamp(&mut self, _: SystemTime) {}
}
