//! Which spans and events of this process OpenTelemetry gets to know.

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{self, Filter};

/// The field by which a span says that it must be known even if nobody records it.
const KIND: &str = "otel.kind";

/// Spans of Trellis that somebody will look at, and warnings in them.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    spans: Targets,
    exporting: bool,
}

impl Recorded {
    pub(crate) fn new(spans: Targets, exporting: bool) -> Self {
        Self { spans, exporting }
    }

    /// What can be said of a place in the code, whatever it runs in.
    fn of_interest(&self, metadata: &Metadata<'_>) -> bool {
        // Above all not the crates that carry the export, or it would export itself.
        if !metadata.target().starts_with("trellis_") {
            return false;
        }
        if metadata.is_span() {
            return self.spans.would_enable(metadata.target(), metadata.level());
        }
        self.exporting && *metadata.level() <= Level::WARN
    }

    /// Whether it is worth its cost where the thread is now.
    fn is_worthwhile(&self, metadata: &Metadata<'_>) -> bool {
        Context::map_current(|context| {
            let span = context.span();
            let span = span.span_context();
            let begins_a_trace = metadata.is_span() && !span.is_valid();
            begins_a_trace || (self.exporting && span.is_sampled())
        })
    }
}

fn has_kind(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.fields().field(KIND).is_some()
}

impl<S: Subscriber> Filter<S> for Recorded {
    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if !self.of_interest(metadata) {
            Interest::never()
        } else if has_kind(metadata) {
            Interest::always()
        } else {
            Interest::sometimes()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: &layer::Context<'_, S>) -> bool {
        self.of_interest(metadata) && (has_kind(metadata) || self.is_worthwhile(metadata))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let spans = Filter::<S>::max_level_hint(&self.spans)?;
        Some(if self.exporting { spans.max(LevelFilter::WARN) } else { spans })
    }
}
