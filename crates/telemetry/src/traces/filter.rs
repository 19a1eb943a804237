//! Which spans and events of this process OpenTelemetry gets to know.

use opentelemetry_sdk::trace::Sampler;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{self, Filter};

use super::sampling::{self, Decision};
use crate::attributes::DB_SYSTEM_NAME;
use crate::context::{self, Place};

/// The field by which a span says that it may have a parent elsewhere, or take its trace
/// there. If it is at `info`, it must be known even if nobody records it.
const KIND: &str = "otel.kind";

/// The field of a span that is a call to a database, which takes its trace nowhere: it is
/// of use only as a part of a trace that somebody will look at.
const DATABASE: &str = DB_SYSTEM_NAME;

/// Spans of Trellis that somebody will look at, and warnings in them.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    spans: Targets,
    /// `None`: nothing is exported.
    sampler: Option<Sampler>,
}

impl Recorded {
    pub(crate) fn new(spans: Targets, sampler: Option<Sampler>) -> Self {
        Self { spans, sampler }
    }

    /// Whether spans of `target` at `info` belong to traces.
    pub(crate) fn shows(&self, target: &str) -> bool {
        is_own(target) && self.spans.would_enable(target, &Level::INFO)
    }

    /// What becomes of a span below `parent`, or of a trace that it begins.
    pub(crate) fn decide(&self, parent: Option<&Place>) -> Decision {
        sampling::decide(self.sampler.as_ref(), parent)
    }

    fn is_exporting(&self) -> bool {
        self.sampler.is_some()
    }

    /// What can be said of a place in the code, whatever it runs in.
    fn of_interest(&self, metadata: &Metadata<'_>) -> bool {
        if !is_own(metadata.target()) {
            return false;
        }
        if metadata.is_span() {
            return self.spans.would_enable(metadata.target(), metadata.level());
        }
        self.is_exporting() && *metadata.level() <= Level::WARN
    }

    /// Whether a trace misses something without it, even if nobody will look at it.
    fn is_needed(metadata: &Metadata<'_>) -> bool {
        has(metadata, KIND) && *metadata.level() <= Level::INFO
    }

    /// Whether it is worth its cost where the thread is now.
    fn is_worthwhile(&self, metadata: &Metadata<'_>) -> bool {
        match context::look(|place| place.is_sampled()) {
            Some(is_sampled) => is_sampled && self.is_exporting(),
            None => metadata.is_span() && !has(metadata, DATABASE),
        }
    }
}

/// Above all not of the crates that carry the export, or it would export itself.
fn is_own(target: &str) -> bool {
    target.starts_with("trellis_")
}

fn has(metadata: &Metadata<'_>, field: &str) -> bool {
    metadata.is_span() && metadata.fields().field(field).is_some()
}

impl<S: Subscriber> Filter<S> for Recorded {
    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if !self.of_interest(metadata) {
            Interest::never()
        } else if Self::is_needed(metadata) {
            Interest::always()
        } else {
            Interest::sometimes()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: &layer::Context<'_, S>) -> bool {
        self.of_interest(metadata) && (Self::is_needed(metadata) || self.is_worthwhile(metadata))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let spans = Filter::<S>::max_level_hint(&self.spans)?;
        Some(if self.is_exporting() { spans.max(LevelFilter::WARN) } else { spans })
    }
}
