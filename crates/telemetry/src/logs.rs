//! Logs: for people on a terminal, JSON otherwise. Every line that is logged in a
//! span carries the trace's and the span's id.

mod batch;
mod export;
mod fields;
mod ids;
mod json;
mod levels;
mod line;
mod panics;
mod queue;
mod record;
mod stamp;
mod writer;

use std::sync::{Arc, OnceLock};

use tracing::dispatcher::WeakDispatch;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::{Layer, Registry};

pub(crate) use export::{Exported, start as export};
pub use levels::{LogLevels, filter};
pub(crate) use panics::log as log_panics;
pub(crate) use writer::Lines;

/// What a line of the log looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people: coloured text.
    Terminal,
    /// For machines: one JSON object.
    Json,
}

/// The subscriber, once it is complete: by it, a line finds the ids of a span
/// that it names itself.
pub(crate) type Itself = Arc<OnceLock<WeakDispatch>>;

/// Writes what `levels` let through.
pub(crate) fn layer<W>(
    format: Format,
    writer: W,
    levels: LogLevels,
    itself: Itself,
) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    match format {
        Format::Terminal => fmt::layer()
            .with_writer(writer)
            .with_ansi(true)
            .fmt_fields(fields::Text)
            .map_event_format(|_| {
                line::Text::new(fmt::format().with_ansi(true).with_target(false), itself)
            })
            .with_filter(levels)
            .boxed(),
        Format::Json => fmt::layer()
            .with_writer(writer)
            .with_ansi(false)
            .fmt_fields(fields::Json)
            .map_event_format(|_| line::Json::new(itself))
            .with_filter(levels)
            .boxed(),
    }
}
