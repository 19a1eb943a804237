//! How the fields of a span are written into the log.
//!
//! Fields named `otel.…` steer the trace and say nothing to a reader, so they are
//! left out.

use std::error::Error;
use std::fmt::{self, Write as _};

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing_subscriber::field::{MakeVisitor as _, RecordFields, VisitOutput as _};
use tracing_subscriber::fmt::FormattedFields;
use tracing_subscriber::fmt::format::{DefaultFields, FormatFields, Writer};

/// `name=value`, as `tracing_subscriber` does it.
#[derive(Debug)]
pub(crate) struct Text;

impl<'w> FormatFields<'w> for Text {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = DefaultFields::new().make_visitor(writer);
        fields.record(&mut Visible(&mut visitor));
        visitor.finish()
    }
}

/// A JSON object. A field that is recorded later is put behind the others, where
/// `tracing_subscriber` would read and write the whole object anew.
#[derive(Debug)]
pub(crate) struct Json;

impl<'w> FormatFields<'w> for Json {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut object = String::from("{");
        fields.record(&mut Visible(&mut Members(&mut object)));
        object.push('}');
        writer.write_str(&object)
    }

    fn add_fields(
        &self,
        current: &'w mut FormattedFields<Self>,
        fields: &Record<'_>,
    ) -> fmt::Result {
        if current.fields.pop().is_none() {
            current.fields.push('{');
        }
        fields.record(&mut Visible(&mut Members(&mut current.fields)));
        current.fields.push('}');
        Ok(())
    }
}

/// Hands on what a reader shall see.
struct Visible<'a>(&'a mut dyn Visit);

impl Visible<'_> {
    fn of(&mut self, field: &Field) -> Option<&mut dyn Visit> {
        if field.name().starts_with("otel.") { None } else { Some(&mut *self.0) }
    }
}

impl Visit for Visible<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.of(field).into_iter().for_each(|next| next.record_f64(field, value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.of(field).into_iter().for_each(|next| next.record_i64(field, value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.of(field).into_iter().for_each(|next| next.record_u64(field, value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.of(field).into_iter().for_each(|next| next.record_bool(field, value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.of(field).into_iter().for_each(|next| next.record_str(field, value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.of(field).into_iter().for_each(|next| next.record_error(field, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.of(field).into_iter().for_each(|next| next.record_debug(field, value));
    }
}

/// The members of an object that is open.
struct Members<'a>(&'a mut String);

impl Members<'_> {
    fn push(&mut self, field: &Field, value: &Value) {
        if !self.0.ends_with('{') {
            self.0.push(',');
        }
        // A raw identifier is written `r#type`.
        let name = field.name().trim_start_matches("r#");
        let _ = write!(self.0, "{}:{value}", Value::from(name));
    }
}

impl Visit for Members<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field, &value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, &value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, &value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, &value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, &value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, &format!("{value:?}").into());
    }
}
