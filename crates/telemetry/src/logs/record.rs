//! What is logged, as records for a collector.
//!
//! They carry less than a line: the message, and the fields that are on the list.

use std::fmt;
use std::time::SystemTime;

use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, Severity};
use opentelemetry_sdk::logs::{SdkLogRecord, SdkLogger};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{self, Filter};

use super::{Itself, LogLevels, ids};
use crate::attributes;

/// Makes a record of every line of Trellis's own.
pub(crate) struct Records {
    logger: SdkLogger,
    itself: Itself,
}

impl Records {
    pub(crate) fn new(logger: SdkLogger, itself: Itself) -> Self {
        Self { logger, itself }
    }
}

impl<S: Subscriber> Layer<S> for Records {
    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        let metadata = event.metadata();
        let mut record = self.logger.create_log_record();
        record.set_timestamp(now());
        record.set_severity_number(severity(*metadata.level()));
        record.set_severity_text(metadata.level().as_str());
        record.set_target(metadata.target());
        event.record(&mut Listed(&mut record));
        if let Some(span) = ids::of(event, &self.itself) {
            let flags = Some(span.trace_flags());
            record.set_trace_context(span.trace_id(), span.span_id(), flags);
        }
        self.logger.emit(record);
    }
}

/// When it was logged, for whoever puts the records of several processes in order.
#[expect(clippy::disallowed_methods, reason = "the same clock as that of the lines")]
fn now() -> SystemTime {
    SystemTime::now()
}

fn severity(level: Level) -> Severity {
    match level {
        Level::ERROR => Severity::Error,
        Level::WARN => Severity::Warn,
        Level::INFO => Severity::Info,
        Level::DEBUG => Severity::Debug,
        Level::TRACE => Severity::Trace,
    }
}

/// Keeps the message, and the fields on the list.
struct Listed<'a>(&'a mut SdkLogRecord);

impl Listed<'_> {
    fn keep(&mut self, field: &Field, value: impl FnOnce() -> AnyValue) {
        let name = field.name();
        if name == "message" {
            self.0.set_body(value());
        } else if attributes::is_allowed_in_logs(name) {
            self.0.add_attribute(name, value());
        }
    }
}

impl Visit for Listed<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.keep(field, || value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, || value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        // There are no larger numbers in a record.
        self.keep(field, || i64::try_from(value).unwrap_or(i64::MAX).into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, || value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, || value.to_owned().into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.keep(field, || format!("{value:?}").into());
    }
}

/// What is logged, of Trellis's own: what carries the export may log too, and would
/// export itself.
pub(crate) struct Own(pub(crate) LogLevels);

fn is_own(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && metadata.target().starts_with("trellis_")
}

impl<S: Subscriber> Filter<S> for Own {
    fn enabled(&self, metadata: &Metadata<'_>, context: &layer::Context<'_, S>) -> bool {
        is_own(metadata) && Filter::enabled(&self.0, metadata, context)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_own(metadata) {
            Filter::<S>::callsite_enabled(&self.0, metadata)
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Filter::<S>::max_level_hint(&self.0)
    }
}
