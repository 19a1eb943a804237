//! A line of the log with the ids of its span.

use std::fmt;

use opentelemetry::trace::SpanContext;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_log::NormalizeEvent as _;
use tracing_subscriber::fmt::format::{self, FormatEvent, FormatFields, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::json::{self, Members};
use super::{Itself, fields, ids, stamp};
use crate::hex::Hex;

/// `… trace_id=… span_id=…` at the end of the line.
pub(crate) struct Text {
    format: format::Format<Full>,
    itself: Itself,
}

/// One object: when, how bad, what was said, where in the code, the innermost span that
/// the log shows, and the ids.
///
/// It is written once and at once, which costs a sixth of what `tracing_subscriber`'s
/// own does: that reads the fields of the span anew for every line.
pub(crate) struct Json {
    itself: Itself,
}

impl Text {
    pub(crate) fn new(format: format::Format<Full>, itself: Itself) -> Self {
        Self { format, itself }
    }
}

impl Json {
    pub(crate) fn new(itself: Itself) -> Self {
        Self { itself }
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
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(span) = ids::of(event, &self.itself) else {
            return self.format.format_event(context, writer, event);
        };
        let mut line = String::with_capacity(512);
        self.format.format_event(context, Writer::new(&mut line), event)?;
        let (trace, span) = (span.trace_id(), span.span_id());
        writeln!(writer, "{} trace_id={trace} span_id={span}", line.trim_end_matches('\n'))
    }
}

impl<S> FormatEvent<S, fields::Json> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, fields::Json>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        // What comes from the crate `log` says as fields where it comes from.
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        out.write_str(r#"{"timestamp":""#)?;
        stamp::now(&mut out)?;
        out.write_str(r#"","level":""#)?;
        out.write_str(metadata.level().as_str())?;
        out.write_char('"')?;
        let mut members = Members::more(&mut out);
        if normalized.is_some() {
            event.record(&mut Said(&mut members));
        } else {
            event.record(&mut members);
        }
        members.end()?;
        out.write_str(r#","target":"#)?;
        json::string(&mut out, metadata.target())?;
        if let Some(span) = span_of(context, event) {
            write_span(&mut out, &span)?;
        }
        if let Some(span) = ids::of(event, &self.itself) {
            write_ids(&mut out, &span)?;
        }
        out.write_str("}\n")
    }
}

/// The one that `event` names, else the innermost that the log shows.
fn span_of<'a, S, N>(context: &'a FmtContext<'_, S, N>, event: &Event<'_>) -> Option<SpanRef<'a, S>>
where
    S: Subscriber + for<'l> LookupSpan<'l>,
    N: for<'w> FormatFields<'w> + 'static,
{
    match event.parent() {
        Some(id) => context.span(id),
        None if event.is_contextual() => context.lookup_current(),
        None => None,
    }
}

fn write_span<S>(out: &mut Writer<'_>, span: &SpanRef<'_, S>) -> fmt::Result
where
    S: for<'a> LookupSpan<'a>,
{
    out.write_str(r#","span":{"#)?;
    let extensions = span.extensions();
    let fields = extensions.get::<FormattedFields<fields::Json>>();
    let fields = fields.and_then(|object| object.strip_prefix('{')?.strip_suffix('}'));
    if let Some(fields) = fields.filter(|fields| !fields.is_empty()) {
        out.write_str(fields)?;
        out.write_char(',')?;
    }
    out.write_str(r#""name":"#)?;
    json::string(out, span.name())?;
    out.write_char('}')
}

fn write_ids(out: &mut Writer<'_>, span: &SpanContext) -> fmt::Result {
    out.write_str(r#","trace_id":""#)?;
    out.write_str(Hex::from(span.trace_id()).as_str())?;
    out.write_str(r#"","span_id":""#)?;
    out.write_str(Hex::from(span.span_id()).as_str())?;
    out.write_char('"')
}

/// The message alone.
struct Said<'a>(&'a mut dyn Visit);

impl Visit for Said<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0.record_debug(field, value);
        }
    }
}
