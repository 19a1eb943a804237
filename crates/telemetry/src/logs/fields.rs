//! How the fields of a span are written into the log.
//!
//! Fields named `otel.…` steer the trace and say nothing to a reader, so they are
//! left out.

use std::error::Error;
use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing_subscriber::field::{MakeVisitor as _, RecordFields, VisitOutput as _};
use tracing_subscriber::fmt::FormattedFields;
use tracing_subscriber::fmt::format::{DefaultFields, FormatFields, Writer};

use super::json::{self, Members};

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
/// `tracing_subscriber` would read and write the whole object anew; that is done only
/// for one that is recorded again.
#[derive(Debug)]
pub(crate) struct Json;

impl<'w> FormatFields<'w> for Json {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        writer.write_char('{')?;
        let mut members = Members::first(&mut writer);
        fields.record(&mut Visible(&mut members));
        members.end()?;
        writer.write_char('}')
    }

    fn add_fields(
        &self,
        current: &'w mut FormattedFields<Self>,
        fields: &Record<'_>,
    ) -> fmt::Result {
        let object = &mut current.fields;
        let mut again = Again { object: object.as_str(), is_any: false };
        fields.record(&mut Visible(&mut again));
        let is_any_again = again.is_any;
        if object.pop().is_none() {
            object.push('{');
        }
        let mut members =
            if object.len() == 1 { Members::first(object) } else { Members::more(object) };
        fields.record(&mut Visible(&mut members));
        members.end()?;
        object.push('}');
        if is_any_again {
            // Of members of one name, the last remains.
            let members: Map<String, Value> =
                serde_json::from_str(object).map_err(|_| fmt::Error)?;
            *object = serde_json::to_string(&members).map_err(|_| fmt::Error)?;
        }
        Ok(())
    }
}

/// Looks whether fields are recorded again. It may take a text for a name, and then the
/// object is written anew for nothing.
struct Again<'a> {
    object: &'a str,
    is_any: bool,
}

impl Visit for Again<'_> {
    fn record_debug(&mut self, field: &Field, _: &dyn fmt::Debug) {
        self.is_any |= self.object.contains(&format!("\"{}\":", json::name(field)));
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
