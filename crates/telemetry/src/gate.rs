//! Turns away what neither the log nor a trace wants.
//!
//! Filters of single layers cannot do that: a span whose filter has to be asked
//! each time is made in full, and then shown to no layer. That would cost every
//! span in a trace that is not sampled a quarter of a microsecond.

use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, Filter};

use crate::logs::LogLevels;
use crate::traces::Recorded;

/// The outermost layer.
pub(crate) struct Gate {
    logs: LogLevels,
    traces: Recorded,
}

impl Gate {
    pub(crate) fn new(logs: LogLevels, traces: Recorded) -> Self {
        Self { logs, traces }
    }

    /// By it, a call that comes in finds out whether it needs a span.
    pub(crate) fn traces(&self) -> &Recorded {
        &self.traces
    }
}

impl<S: Subscriber> Layer<S> for Gate {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let logs = Filter::<S>::callsite_enabled(&self.logs, metadata);
        let traces = Filter::<S>::callsite_enabled(&self.traces, metadata);
        if logs.is_always() || traces.is_never() { logs } else { traces }
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        Filter::enabled(&self.traces, metadata, &context)
            || Filter::enabled(&self.logs, metadata, &context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let logs = Filter::<S>::max_level_hint(&self.logs)?;
        let traces = Filter::<S>::max_level_hint(&self.traces)?;
        Some(logs.max(traces))
    }
}
