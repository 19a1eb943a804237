//! What the fields of spans and events say, of which those on the list are exported.

use std::error::Error;
use std::fmt;

use tracing::field::{Field, Visit};

use super::otlp::{self, Value};
use crate::attributes;

/// `SPAN_KIND_INTERNAL`, which a span is that says nothing else.
pub(super) const INTERNAL: u32 = 1;

/// How a span ended; an earlier one of these does not replace a later one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Status {
    #[default]
    Unset,
    Error,
    Ok,
}

/// What fields of a span say.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub name: Option<String>,
    /// As `SpanKind` in OTLP.
    pub kind: Option<u32>,
    pub status: Status,
    pub attributes: u32,
    /// The attributes as parts of a span in OTLP.
    pub bytes: Vec<u8>,
}

/// What fields of an event say.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub name: Option<String>,
    /// The attributes as parts of an event in OTLP.
    pub bytes: Vec<u8>,
}

/// Keeps some fields.
pub(super) trait Keep {
    fn wants(name: &str) -> bool;
    fn keep(&mut self, name: &str, value: Value<'_>);
}

impl Keep for Said {
    fn wants(name: &str) -> bool {
        match name.strip_prefix("otel.") {
            Some(name) => matches!(name, "name" | "kind" | "status_code"),
            None => attributes::is_allowed(name),
        }
    }

    fn keep(&mut self, name: &str, value: Value<'_>) {
        match (name, value) {
            ("otel.name", Value::Text(text)) => self.name = Some(text.to_owned()),
            ("otel.kind", Value::Text(text)) => self.kind = kind(text),
            ("otel.status_code", Value::Text(text)) => self.status = status(text),
            _ => {
                self.attributes += 1;
                otlp::attribute(&mut self.bytes, 9, name, value);
            }
        }
    }
}

impl Keep for Told {
    fn wants(name: &str) -> bool {
        name == "message" || attributes::is_allowed(name)
    }

    fn keep(&mut self, name: &str, value: Value<'_>) {
        match (name, value) {
            ("message", Value::Text(text)) => self.name = Some(text.to_owned()),
            _ => otlp::attribute(&mut self.bytes, 3, name, value),
        }
    }
}

fn kind(text: &str) -> Option<u32> {
    let kinds = ["internal", "server", "client", "producer", "consumer"];
    (INTERNAL..).zip(kinds).find(|(_, kind)| text.eq_ignore_ascii_case(kind)).map(|(kind, _)| kind)
}

fn status(text: &str) -> Status {
    if text.eq_ignore_ascii_case("error") {
        Status::Error
    } else if text.eq_ignore_ascii_case("ok") {
        Status::Ok
    } else {
        Status::Unset
    }
}

/// Shows fields to what keeps them.
pub(super) struct Fields<'a, K>(pub &'a mut K);

impl<K: Keep> Fields<'_, K> {
    fn show(&mut self, field: &Field, value: Value<'_>) {
        if K::wants(field.name()) {
            self.0.keep(field.name(), value);
        }
    }

    /// What is not a value of OTLP itself, which is written as text if it is wanted.
    fn show_text(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if K::wants(field.name()) {
            match value.as_str() {
                Some(text) => self.0.keep(field.name(), Value::Text(text)),
                None => self.0.keep(field.name(), Value::Text(&value.to_string())),
            }
        }
    }
}

impl<K: Keep> Visit for Fields<'_, K> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.show(field, Value::Float(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.show(field, Value::Int(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        // There are no larger numbers in OTLP.
        self.show(field, Value::Int(i64::try_from(value).unwrap_or(i64::MAX)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.show(field, Value::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.show(field, Value::Text(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.show_text(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.show_text(field, format_args!("{value:?}"));
    }
}
