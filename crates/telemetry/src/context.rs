//! Which OpenTelemetry span a `tracing` span stands for.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use tracing::{Dispatch, Span, span};
use tracing_opentelemetry::get_otel_context;
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan as _;

/// That of the span that the thread is in; `None` outside of any.
pub(crate) fn current() -> Option<SpanContext> {
    Context::map_current(valid)
}

/// That of `span`, or of the nearest of its ancestors that has one; where none
/// has, that of the span that the thread is in.
///
/// This starts the span: its parent is settled from here on.
pub(crate) fn of(span: &Span) -> Option<SpanContext> {
    span.with_subscriber(|(id, dispatch)| by_id(id, dispatch)).flatten().or_else(current)
}

/// As [`of`], for a span that only its id is known of.
pub(crate) fn by_id(id: &span::Id, dispatch: &Dispatch) -> Option<SpanContext> {
    let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
    span.scope()
        .find_map(|span| get_otel_context(&span.id(), dispatch))
        .and_then(|context| valid(&context))
}

fn valid(context: &Context) -> Option<SpanContext> {
    let span = context.span();
    let context = span.span_context();
    context.is_valid().then(|| context.clone())
}
