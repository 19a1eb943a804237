//! A line of the log with the ids of its span.

use std::fmt;

use opentelemetry::trace::SpanContext;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{self, FormatEvent, FormatFields, Full, Writer};
use tracing_subscriber::registry::LookupSpan;

use super::{Itself, ids};

/// `… trace_id=… span_id=…` at the end of the line.
pub(crate) struct Text(Ids<format::Format<Full>>);

/// The members `trace_id` and `span_id` at the end of the object.
pub(crate) struct Json(Ids<format::Format<format::Json>>);

struct Ids<F> {
    format: F,
    itself: Itself,
}

impl Text {
    pub(crate) fn new(format: format::Format<Full>, itself: Itself) -> Self {
        Self(Ids { format, itself })
    }
}

impl Json {
    pub(crate) fn new(format: format::Format<format::Json>, itself: Itself) -> Self {
        Self(Ids { format, itself })
    }
}

impl<F> Ids<F> {
    fn write<S, N>(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
        end: &str,
        ids: impl FnOnce(&SpanContext) -> String,
    ) -> fmt::Result
    where
        F: FormatEvent<S, N>,
        S: Subscriber + for<'a> LookupSpan<'a>,
        N: for<'a> FormatFields<'a> + 'static,
    {
        let Some(span) = ids::of(event, &self.itself) else {
            return self.format.format_event(context, writer, event);
        };
        let mut line = String::with_capacity(512);
        self.format.format_event(context, Writer::new(&mut line), event)?;
        writer.write_str(line.strip_suffix(end).unwrap_or(&line))?;
        writer.write_str(&ids(&span))?;
        writer.write_str(end)
    }
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        self.0.write(context, writer, event, "\n", |span| {
            format!(" trace_id={} span_id={}", span.trace_id(), span.span_id())
        })
    }
}

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        self.0.write(context, writer, event, "}\n", |span| {
            format!(r#","trace_id":"{}","span_id":"{}""#, span.trace_id(), span.span_id())
        })
    }
}
